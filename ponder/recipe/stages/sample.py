"""The `sample` stage: responses become data."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.endpoint import ByEndpoint, ByModel, Endpoint, Referee
from ponder.recipe.environment import Environment
from ponder.recipe.own import OwnUse
from ponder.recipe.problems import ProblemSource, without_gold
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.recipe.sample import Keep, PairRules, Rewrite
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import Precision

__all__ = ["SampleStage"]


class SampleStage(StageBase):
    """Responses of a model or a teacher, judged, filtered and rewritten into data: examples for cold start, rejection
    sampling and distillation, preference pairs, or safety labels."""

    kind: Literal["sample"] = "sample"
    """Tag of this alternative."""
    output: Literal["examples", "pairs", "labels", "problems"] = "examples"
    """`examples` to learn from, preference `pairs` of two answers, safety `labels` of whole responses, or the
    `problems` themselves with the share of responses that are right, for RL to draw from."""
    model: str | None = None
    """Who responds: a stage's name, a path, a hub id, `micro` or `micro-student`. Or give `endpoint`."""
    endpoint: Endpoint | None = None
    """Who responds: a model at an endpoint, in place of `model`."""
    template: TemplateName | None = None
    """Prompt form; null takes the one saved with the model. An endpoint has its own."""
    problems: tuple[ProblemSource, ...] = Field(min_length=1)
    """What is asked; problems without an answer to check are fine unless a rule needs one."""
    decontaminate: tuple[str, ...] = ()
    """Benchmarks, by name or file: problems that share ten words in a row with one of them are left out and listed in
    `decontamination.json` (R1 v2, D.1)."""
    samples: int = Field(4, ge=1)
    """Responses per problem. The paper says `several` and no number."""
    sampling: Sampling = Sampling()
    """Distribution of the responses (temperature 1.0 for the paper's cold-start data, not stated for the rest)."""
    environment: Environment | None = Field(None, exclude_if=lambda value: value is None)
    """Who answers the model: tools, or a class of your own as `game.py:Guess` (docs/tools.md). A response is then a
    whole conversation, and `sampling.max_tokens` limits all of it. Null ends it with the first reply."""
    engine: EngineConfig = EngineConfig()
    """Where a model's completions are computed."""
    precision: Precision = "auto"
    """Arithmetic of a model's forward passes."""
    keep: Keep = Keep()
    """Which responses are kept."""
    judge: Referee | None = None
    """Who judges for `keep.judged`, for pairs and for labels; null is the rule: the verifier's verdict and score."""
    rewrite: Rewrite | None = None
    """Rewriting of what is kept; null takes responses as they are."""
    pairs: PairRules = PairRules()
    """How pairs are chosen."""

    @model_validator(mode="after")
    def _draws_now(self) -> Self:
        if self.engine.lag:
            raise ValueError(
                f"engine.lag is {self.engine.lag}, but nothing is trained while a `sample` stage draws: remove it"
            )
        return self

    def writers(self) -> tuple[str, ...]:
        """The models that respond, judge and rewrite in this process."""
        helpers = (self.judge, self.rewrite.by if self.rewrite is not None else None)
        asked = [] if self.model is None else [self.model]
        return tuple(dict.fromkeys([*asked, *(one.model for one in helpers if isinstance(one, ByModel))]))

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints that respond, judge and rewrite."""
        helpers = (self.judge, self.rewrite.by if self.rewrite is not None else None)
        asked = [] if self.endpoint is None else [self.endpoint]
        return (*asked, *(one.endpoint for one in helpers if isinstance(one, ByEndpoint)))

    def endpoint_logs(self) -> Mapping[str, tuple[str, ...]]:
        """What the endpoints replied, and the keys that decide it."""
        logs: dict[str, tuple[str, ...]] = {}
        if self.endpoint is not None:
            logs["samples"] = ("endpoint", "sampling")
        if isinstance(self.judge, ByEndpoint):
            logs["judge"] = ("judge",)
        if self.rewrite is not None and isinstance(self.rewrite.by, ByEndpoint):
            logs["rewrite"] = ("rewrite",)
        return logs

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        return self.problems

    def reward_names(self) -> tuple[str, ...]:
        return tuple(self.keep.rewards)

    def own_uses(self) -> tuple[OwnUse, ...]:
        rules = (OwnUse(role="rule", function=name) for name in self.keep.own)
        return (*super().own_uses(), *rules, *(self.environment.own_uses() if self.environment is not None else ()))

    def text_folders(self) -> tuple[str, ...]:
        folder = None if self.environment is None else self.environment.folder
        return () if folder is None else (folder,)

    def benchmark_names(self) -> tuple[str, ...]:
        return self.decontaminate

    def products(self) -> tuple[str, ...]:
        return (f"{self.output}.jsonl",)

    def reads(self) -> str:
        if self.endpoint is not None:
            return f"{self.endpoint.model} at {self.endpoint.base_url}"
        return str(self.model)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.model is None) == (self.endpoint is None):
            got = "neither" if self.model is None else "both"
            raise ValueError(f"model and endpoint both say who responds: give one of them, got {got}")
        if self.endpoint is not None and self.template is not None:
            raise ValueError("template is for a model in this process; the endpoint puts prompts into its own form")
        if self.environment is not None and (fault := self._no_conversation()):
            raise ValueError(f"environment makes each response a conversation of several turns, {fault}")
        if self.sampling.length_schedule:
            raise ValueError("sampling.length_schedule is for training, which has steps: set sampling.max_tokens alone")
        if self.sampling.temperature_schedule:
            raise ValueError(
                "sampling.temperature_schedule is for training, which has steps: set sampling.temperature alone"
            )
        if self.keep.judged and (self.judge is None or self.judge.kind in ("rule", "chance")):
            raise ValueError(
                "keep.judged needs a judge that reads: set judge to a model or an endpoint, or use keep.correct, which "
                "asks the verifier"
            )
        if self.output == "problems":
            others = [f"keep.{name}" for name in sorted(self.keep.model_fields_set - {"pass_rate"})]
            others += [name for name, one in (("judge", self.judge), ("rewrite", self.rewrite)) if one is not None]
            if others:
                raise ValueError(
                    f"problems are measured by all their responses as they were given: remove {', '.join(others)}; "
                    "only keep.pass_rate says which are kept"
                )
        elif self.output != "examples":
            chosen = [name for name in ("correct", "judged", "best_of", "pass_rate") if getattr(self.keep, name)]
            if chosen or self.rewrite is not None:
                raise ValueError(
                    f"{self.output} need good and bad responses as they were given: remove "
                    f"{', '.join([f'keep.{name}' for name in chosen] + ['rewrite'] * (self.rewrite is not None))}"
                )
        if self.output == "pairs" and (fault := self._no_pair()):
            raise ValueError(f"a pair is made of two different responses to one problem: {fault}")
        if self.output == "examples" and self.judge is not None and not self.keep.judged:
            raise ValueError("the judge is asked nothing: set keep.judged to true, or remove judge")
        judged = [f"keep.{name}" for name in ("correct", "judged", "pass_rate") if getattr(self.keep, name)]
        judged += ["output: problems"] * (self.output == "problems")
        if judged and all(without_gold(one) for one in self.problems):
            raise ValueError(
                f"{judged[0]} compares answers with the gold, and no source of problems has one (gold: null): say what "
                "the answers are, or remove it"
            )
        if self.output != "pairs" and self.pairs != PairRules():
            raise ValueError(f"`pairs` says how pairs are chosen, and the output is {self.output}: remove it")
        if (self.keep.min_tokens or 0) > self.sampling.max_tokens and self.output != "problems":
            raise ValueError(
                f"keep.min_tokens is {self.keep.min_tokens}, and no response has more than sampling.max_tokens, "
                f"{self.sampling.max_tokens}: nothing would be kept"
            )
        return self

    def _no_pair(self) -> str:
        """What leaves no two responses that differ, and what to do; nothing where something may."""
        if self.samples < 2:
            return "set samples to 2 or more"
        if self.keep.distinct == 1:
            return "set keep.distinct to 2 or more, or remove it"
        if self.sampling.temperature == 0 and self.endpoint is None:
            return "at sampling.temperature 0 a model says the same each time; set it above 0"
        return ""

    def _no_conversation(self) -> str:
        """Which setting is for single replies, and what to do; nothing where there is none."""
        if self.endpoint is not None:
            return "and an endpoint is asked single questions: name a model of this process, or remove environment"
        if self.output in ("pairs", "labels"):
            return f"and {self.output} hold single replies: set output to examples or problems, or remove environment"
        if self.rewrite is not None:
            return "and rewrite puts single replies into other words: remove one of them"
        if self.keep.unfinished:
            return "and keep.unfinished takes single replies as they are: remove one of them"
        return ""
