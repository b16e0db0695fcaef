"""The `rl` stage: R1-Zero, RL 1, RL 2, RL on a student."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.objective import Objective
from ponder.recipe.problems import HeldOut, ProblemSource
from ponder.recipe.rollout import EngineConfig, Sampling
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
    objective: Objective = Objective()
    """The policy-gradient objective: a preset's name, or a preset with changes."""
    steps: int = Field(ge=1)
    """Policy updates."""
    problems_per_step: int = Field(32, ge=1)
    """Distinct problems in one policy update (32 in R1)."""
    group_size: int = Field(16, ge=2)
    """Completions per problem (16 in R1)."""
    updates_per_rollout: int = Field(1, ge=1)
    """Updates made from one round of sampling; a rollout samples problems_per_step times this many problems (16 in
    R1, which makes 15 of 16 updates mildly off-policy)."""
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

    def writers(self) -> tuple[str, ...]:
        return (self.model,)

    def scorers(self) -> tuple[str, ...]:
        return tuple(self.reward_models.values())

    def metric_names(self) -> tuple[str, ...]:
        return self.held_out.metrics if self.held_out is not None else ()

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        return (*self.problems, *(self.held_out.problems if self.held_out is not None else ()))

    def reward_names(self) -> tuple[str, ...]:
        return tuple(self.reward_weights(0))

    def benchmark_names(self) -> tuple[str, ...]:
        return self.decontaminate

    def lengths(self) -> tuple[str, ...]:
        return ("steps",)

    def reads(self) -> str:
        return ", ".join((self.model, *(f"{one} ({route})" for route, one in self.reward_models.items())))

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
    def _preferences_scored(self) -> Self:
        paid = "preference" in self.rewards or "preference" in self.reward_schedule
        if paid and not self.reward_models:
            raise ValueError("the reward 'preference' has a weight but nothing scores it: set reward_models")
        if self.reward_models and not paid:
            raise ValueError("reward_models are given but never paid: give the reward 'preference' a weight")
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
            if steps[-1] >= self.steps:
                raise ValueError(
                    f"reward_schedule.{name} changes at step {steps[-1]}, after the last of {self.steps} steps"
                )
        if all(source.from_step > 0 for source in self.problems):
            raise ValueError("every source of problems enters later: at least one needs from_step 0")
        late = [source.from_step for source in self.problems if source.from_step >= self.steps]
        if late:
            raise ValueError(f"a source of problems enters at step {late[0]}, after the last of {self.steps} steps")
        return self

    def reward_weights(self, step: int) -> dict[str, float]:
        """The weight of each named reward in a rollout that begins after `step` updates."""
        weights = {**self.rewards, **{name: self.rewards.get(name, 0.0) for name in self.reward_schedule}}
        for name, changes in self.reward_schedule.items():
            for change in changes:
                if change.from_step <= step:
                    weights[name] = change.weight
        return weights
