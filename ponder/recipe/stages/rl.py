"""The `rl` stage: R1-Zero, RL 1, RL 2, RL on a student."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.critic import Critic
from ponder.recipe.endpoint import ByEndpoint, ByModel, Endpoint
from ponder.recipe.environment import Environment
from ponder.recipe.judges import JUDGES, JudgedReward, RubricReward
from ponder.recipe.objective import Objective
from ponder.recipe.own import OwnUse
from ponder.recipe.problems import HeldOut, ProblemSource, without_gold
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.recipe.sampler import Sampler, Stop
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import BatchLimits, Optimizer, Precision

__all__ = ["SCOPES", "RlStage", "WeightStep"]

SCOPES: Mapping[str, Literal["answer", "response"]] = {"helpful": "answer", "safety": "response"}
"""What the reward model of each route must see (Nature, Methods)."""


class WeightStep(Component):
    """A reward's weight from a step on."""

    from_step: int = Field(ge=0)
    """Policy updates made before the change, rounded up to the beginning of a rollout."""
    weight: float
    """The reward's weight from there on."""


def _written_by(judge: JudgedReward) -> tuple[str, ...]:
    return (judge.by.model,) if isinstance(judge.by, ByModel) else ()


class RlStage(StageBase):
    """Reinforcement learning on problems whose answers can be checked (R1-Zero, RL 1, RL 2, RL on a student)."""

    kind: Literal["rl"] = "rl"
    """Tag of this alternative."""
    model: str
    """A stage's name, a path, a hub id (`organisation/name`, or with `@revision`), or
    `micro` or `micro-student`, the embedded models."""
    template: TemplateName | None = None
    """Prompt form; null takes the one saved with the model."""
    problems: tuple[ProblemSource, ...]
    """What is trained on."""
    decontaminate: tuple[str, ...] = ()
    """Benchmarks, by name or file: problems that share ten words in a row with one of them are left out and listed in
    `decontamination.json` (R1 v2, D.1)."""
    held_out: HeldOut | None = None
    """What is measured on."""
    rewards: dict[str, float] = Field(default_factory=lambda: {"accuracy": 1.0, "format": 1.0})
    """Weight of each named reward (R1 eq. 4: accuracy + format with equal weight). `accuracy` is paid for problems of
    the route `reasoning`, `preference` for those of `helpful` and `safety`, the others for all (Nature eq. 8-10)."""
    reward_schedule: dict[str, tuple[WeightStep, ...]] = Field(default_factory=dict)
    """Rewards whose weight changes, by name; before its first entry a reward has the weight that `rewards` gives it, or
    0. R1 pays preference rewards only in the last 400 of 1,700 steps."""
    reward_models: dict[Literal["helpful", "safety"], str] = Field(default_factory=dict)
    """The reward model of each route: a stage of kind `reward_model`, or a path. Helpfulness needs one that sees the
    answer only, safety one that sees the whole response (Nature, Methods)."""
    preference_scale: Literal["rank", "probability", "standard"] = "rank"
    """How a reward model's score becomes the reward `preference`; R1 states no scaling. `rank`: the share of held-out
    responses with a lower score, taken as normal, from 0 to 1 like the rule rewards and never saturated, however sure
    the model is. `probability`: for labels that of `safe`, for pairs the chance of beating a mean held-out answer.
    `standard`: distance from the held-out mean in standard deviations, from -3 to 3. A response without an answer
    earns the least of the scale."""
    judged: JudgedReward | None = None
    """Who gives the reward `judged`: a judge that compares answers with the gold."""
    rubric: RubricReward | None = None
    """Who gives the reward `rubric`: a judge that goes through a list of criteria."""
    objective: Objective = Objective()
    """The policy-gradient objective: a preset's name, or a preset with changes."""
    critic: Critic | None = Field(None, exclude_if=lambda value: value is None)
    """The critic of the objective `ppo`, and how it learns; null takes what its fields have by default."""
    sampler: Sampler | None = None
    """Draw problems by how often the model solves them; null draws all in turn, by the weights of their sources."""
    stop: Stop | None = None
    """End before `steps` where held-out accuracy no longer rises; null makes all steps."""
    steps: int = Field(ge=1)
    """Policy updates."""
    problems_per_step: int = Field(32, ge=1)
    """Distinct problems in one policy update (32 in R1)."""
    group_size: int = Field(16, ge=2)
    """Completions per problem (16 in R1)."""
    updates_per_rollout: int = Field(1, ge=1)
    """Updates made from one round of sampling; a rollout samples problems_per_step times this many problems (16 in
    R1, which makes 15 of 16 updates mildly off-policy)."""
    environment: Environment | None = Field(None, exclude_if=lambda value: value is None)
    """Who answers the model, in training and on `held_out` alike: tools, or a class of your own as `game.py:Guess`
    (docs/tools.md). Null ends a conversation with the first reply."""
    sampling: Sampling = Sampling()
    """Distribution of the training completions."""
    engine: EngineConfig = EngineConfig()
    """Where completions are computed."""
    optimizer: Optimizer = Optimizer()
    """Optimizer and schedule."""
    batch: BatchLimits = BatchLimits()
    """Memory limits."""
    precision: Precision = "auto"
    """Arithmetic of forward and backward passes."""
    checkpoint_every: int = Field(10, ge=1)
    """Steps between checkpoints; a killed run goes on from the last."""
    keep_checkpoints: int = Field(2, ge=1)
    """Older checkpoints are removed, the best by held-out accuracy excepted."""

    def judges(self) -> Mapping[str, JudgedReward]:
        """The judges by the names of their rewards."""
        named = {"judged": self.judged, "rubric": self.rubric}
        return {name: judge for name, judge in named.items() if judge is not None}

    def writers(self) -> tuple[str, ...]:
        """The policy, and the models that judge in this process."""
        return tuple(
            dict.fromkeys([self.model, *(one for judge in self.judges().values() for one in _written_by(judge))])
        )

    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(judge.by.endpoint for judge in self.judges().values() if isinstance(judge.by, ByEndpoint))

    def endpoint_logs(self) -> Mapping[str, tuple[str, ...]]:
        return {name: (name,) for name, judge in self.judges().items() if isinstance(judge.by, ByEndpoint)}

    def scorers(self) -> tuple[str, ...]:
        """The reward models, and the one that the critic begins as."""
        begun = () if self.critic is None or self.critic.model is None else (self.critic.model,)
        return tuple(dict.fromkeys((*self.reward_models.values(), *begun)))

    def learnt_critic(self) -> Critic | None:
        """The critic of the objective; None where it has none."""
        return (self.critic or Critic()) if self.objective.advantage == "gae" else None

    def metric_names(self) -> tuple[str, ...]:
        return self.held_out.metrics if self.held_out is not None else ()

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        return (*self.problems, *(self.held_out.problems if self.held_out is not None else ()))

    def reward_names(self) -> tuple[str, ...]:
        return tuple(self.reward_weights(0))

    def own_uses(self) -> tuple[OwnUse, ...]:
        return (*super().own_uses(), *(self.environment.own_uses() if self.environment is not None else ()))

    def text_folders(self) -> tuple[str, ...]:
        folder = None if self.environment is None else self.environment.folder
        return () if folder is None else (folder,)

    def benchmark_names(self) -> tuple[str, ...]:
        return self.decontaminate

    def lengths(self) -> tuple[str, ...]:
        return ("steps",)

    def reads(self) -> str:
        judges = (
            f"{judge.by.model if isinstance(judge.by, ByModel) else judge.by.endpoint.model} ({name})"
            for name, judge in self.judges().items()
        )
        begun = () if self.critic is None or self.critic.model is None else (f"{self.critic.model} (critic)",)
        routes = (f"{one} ({route})" for route, one in self.reward_models.items())
        return ", ".join((self.model, *routes, *begun, *judges))

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if not self.problems:
            raise ValueError("problems is empty: name at least one source")
        if not any(self.reward_weights(0).values()):
            raise ValueError("rewards is empty or all weights are 0: nothing could be learned")
        if self.sampling.temperature == 0:
            raise ValueError("sampling.temperature 0 makes all completions of a group equal: set it above 0")
        if self.sampling.top_p < 1 or self.sampling.top_k > 0:
            raise ValueError(
                "sampling.top_p below 1 or top_k above 0 truncates the distribution, which makes importance ratios "
                "biased: train with top_p 1 and top_k 0, and set them in held_out or in evaluate instead"
            )
        if self.updates_per_rollout > self.steps:
            raise ValueError(f"updates_per_rollout {self.updates_per_rollout} exceeds steps {self.steps}")
        return self

    @model_validator(mode="after")
    def _turns_drawn(self) -> Self:
        if self.environment is not None and self.engine.kind == "vllm":
            raise ValueError(
                "engine.kind is vllm, and conversations with an environment are drawn by ponder's own engine: set it "
                "to local, or remove environment"
            )
        return self

    @model_validator(mode="after")
    def _drawn_ahead(self) -> Self:
        if self.engine.lag == 0:
            return self
        judged = [name for name, judge in self.judges().items() if isinstance(judge.by, ByModel)]
        for stands, why in (
            (self.environment is not None, "conversations with an environment are drawn in this process"),
            (bool(judged), f"the model that gives the reward {''.join(judged[:1])!r} judges in this process"),
        ):
            if stands:
                raise ValueError(
                    f"engine.lag is {self.engine.lag}, but {why}, so that nothing would be drawn while it trains: set "
                    "it to 0"
                )
        return self

    @model_validator(mode="after")
    def _critic_asked(self) -> Self:
        if self.critic is not None and self.learnt_critic() is None:
            raise ValueError(
                f"critic is given, but the objective {self.objective.preset!r} asks none, so it would count for "
                "nothing: set objective to `ppo`, or remove critic"
            )
        if self.learnt_critic() is not None and self.batch.ranks > 1:
            raise ValueError(
                f"batch.ranks is {self.batch.ranks}, but the critic of the objective 'ppo' is trained by one process: "
                "set it to 1, or take another objective"
            )
        return self

    @model_validator(mode="after")
    def _preferences_scored(self) -> Self:
        paid = "preference" in self.rewards or "preference" in self.reward_schedule
        if paid and not self.reward_models:
            raise ValueError("the reward 'preference' has a weight but nothing scores it: set reward_models")
        if self.reward_models and not paid:
            raise ValueError("reward_models are given but never paid: give the reward 'preference' a weight")
        return self

    @model_validator(mode="after")
    def _follows_the_model(self) -> Self:
        if self.sampler is not None and any(one.from_step or one.until_step for one in self.problems):
            raise ValueError(
                "sampler draws problems by their solve rates, in no order of steps, so that from_step and until_step "
                "of a source would count for nothing: remove them, or the sampler"
            )
        if self.stop is not None and (self.held_out is None or self.held_out.every is None):
            raise ValueError(
                "stop looks at held-out accuracy while training goes on: set held_out, and held_out.every to the steps "
                "between two measurements"
            )
        without = self.held_out is not None and all(without_gold(one) for one in self.held_out.problems)
        if self.stop is not None and without:
            raise ValueError(
                "stop looks at held-out accuracy, and no source in held_out.problems has an answer to check (gold: "
                "null): name what the answers are, add a source that has them, or remove stop"
            )
        last = [change.from_step for change in self.sampling.temperature_schedule][-1:]
        if last and (never := self._never(last[0])):
            raise ValueError(f"sampling.temperature_schedule changes at step {last[0]}, {never}")
        return self

    @model_validator(mode="after")
    def _judges_paid(self) -> Self:
        judges = self.judges()
        for name in JUDGES:
            weights = [self.rewards.get(name, 0.0), *(c.weight for c in self.reward_schedule.get(name, ()))]
            if any(weights) and name not in judges:
                raise ValueError(f"the reward {name!r} has a weight but nobody judges: say who in `{name}`")
            if name in judges and not any(weights):
                raise ValueError(
                    f"`{name}` says who judges, but its judgements are never paid: give the reward {name!r} a weight"
                )
            if min(weights) < 0:
                raise ValueError(
                    f"the reward {name!r} has the weight {min(weights):g}, so what the judge finds good would be "
                    "punished: give it a weight above 0"
                )
        if "judged" in judges and all(without_gold(one) for one in self.problems):
            raise ValueError(
                "the reward 'judged' compares answers with the gold, and no source of problems has one (gold: null): "
                "name what the answers are, or pay `rubric`, which needs none"
            )
        return self

    @model_validator(mode="after")
    def _length_paid_once(self) -> Self:
        weights = [self.rewards.get("length", 0.0), *(c.weight for c in self.reward_schedule.get("length", ()))]
        if any(weights) and self.objective.overlong_buffer_ratio is not None:
            raise ValueError(
                "the reward 'length' and objective.overlong_buffer_ratio (set by the presets dapo and cispo, now "
                f"{self.objective.overlong_buffer_ratio:g}) are one penalty, which would be paid twice: remove the "
                "reward 'length', or set objective.overlong_buffer_ratio to null"
            )
        return self

    @model_validator(mode="after")
    def _steps_in_order(self) -> Self:
        for name, changes in self.reward_schedule.items():
            steps = [change.from_step for change in changes]
            if not steps or steps != sorted(set(steps)):
                raise ValueError(f"reward_schedule.{name} needs one or more entries with rising from_step, got {steps}")
            if never := self._never(steps[-1]):
                raise ValueError(f"reward_schedule.{name} changes at step {steps[-1]}, {never}")
        if all(source.from_step > 0 for source in self.problems):
            raise ValueError("every source of problems enters later: at least one needs from_step 0")
        for source in self.problems:
            if source.until_step is not None and source.until_step <= source.from_step:
                raise ValueError(
                    f"a source of problems leaves at step {source.until_step} and enters at step {source.from_step}: "
                    "until_step must be above from_step"
                )
        for step in sorted({one.until_step for one in self.problems if one.until_step} - {None}):
            there = [one for one in self.problems if one.from_step <= step < (one.until_step or self.steps)]
            if step < self.steps and not there:
                raise ValueError(
                    f"no source of problems is left from step {step} on, before the last of {self.steps} steps: one of "
                    "them needs a later until_step, or none"
                )
        for source in self.problems:
            if never := self._never(source.from_step):
                raise ValueError(f"a source of problems enters at step {source.from_step}, {never}")
        return self

    def _never(self, step: int) -> str:
        """Why what changes at this step never does: it would with a rollout that begins there or later; "" if one
        does."""
        if step >= self.steps:
            return f"after the last of {self.steps} steps"
        last = (self.steps - 1) // self.updates_per_rollout * self.updates_per_rollout
        return f"after the last rollout has begun at step {last} of {self.steps}" if step > last else ""

    def reward_weights(self, step: int) -> dict[str, float]:
        """The weight of each named reward in a rollout that begins after `step` updates."""
        weights = {**self.rewards, **{name: self.rewards.get(name, 0.0) for name in self.reward_schedule}}
        for name, changes in self.reward_schedule.items():
            for change in changes:
                if change.from_step <= step:
                    weights[name] = change.weight
        return weights

    def longest_completion(self) -> int:
        """The highest length limit of a step, in tokens."""
        changes = (change for change in self.sampling.length_schedule if change.from_step < self.steps)
        return max(self.sampling.max_tokens, *(change.max_tokens for change in changes), 0)

    def largest_weights(self) -> dict[str, float]:
        """The weight of each named reward where it is paid most, or punishes most."""
        return {
            name: max((weight, *(change.weight for change in self.reward_schedule.get(name, ()))), key=abs)
            for name, weight in self.reward_weights(0).items()
        }

    def weights_since(self, step: int) -> int:
        """The step at which the weights in force after `step` updates were last changed; 0 where they never were."""
        changes = (change.from_step for changes in self.reward_schedule.values() for change in changes)
        return max((at for at in changes if at < step), default=0)
