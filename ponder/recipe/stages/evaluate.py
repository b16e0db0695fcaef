"""The `evaluate` stage: scores of models on benchmarks."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.endpoint import ByEndpoint, ByModel, Endpoint, Helper
from ponder.recipe.own import OwnNames
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import Precision

__all__ = ["EvaluateStage"]


class EvaluateStage(StageBase):
    """k samples per problem of each model on each benchmark."""

    kind: Literal["evaluate"] = "evaluate"
    """Tag of this alternative."""
    models: tuple[str, ...] = Field(min_length=1)
    """Stage names, paths, hub ids, `micro` or `micro-student`."""
    template: TemplateName | None = None
    """Prompt form of models from outside, such as a base model of the hub, which has none of its own; those of stages
    keep theirs. Null takes the one saved with each model."""
    benchmarks: tuple[str, ...] = Field(min_length=1)
    """Names of shipped benchmarks or paths of benchmark files."""
    samples: int | None = Field(None, ge=1)
    """Completions per problem; null takes the benchmark's own number."""
    temperature: float = Field(0.6, gt=0)
    """Sampling temperature (paper: 0.6)."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus mass (paper: 0.95)."""
    metrics: OwnNames = ()
    """Functions of your own, as `rewards.py:brevity`, whose means over all completions are measured, too
    (docs/own-code.md)."""
    engine: EngineConfig = EngineConfig()
    """Where completions are computed."""
    precision: Precision = "auto"
    """Arithmetic of the forward passes."""
    baseline: str | None = None
    """One of `models`: on benchmarks with `judge: preference` the answers of every other model are compared with its
    answers, sample by sample, into a win rate with and without length control."""
    judge: Helper | None = None
    """Who compares answers, and who says whether an answer agrees with its reference on benchmarks with `judge:
    correctness` (GPT-4-Turbo-1106 in the paper). Null or `rule` compares by the verifiers' scores."""
    votes: int = Field(2, ge=1)
    """How often a judge compares each pair of answers, in an order drawn each time; the mean decides. The paper gives
    no number for its evaluations."""

    def writers(self) -> tuple[str, ...]:
        return (*self.models, *self.judge_models())

    def benchmark_names(self) -> tuple[str, ...]:
        return self.benchmarks

    def products(self) -> tuple[str, ...]:
        return ("evaluation",)

    def metric_names(self) -> tuple[str, ...]:
        return self.metrics

    def reads(self) -> str:
        return f"{', '.join(self.models)} on {', '.join(self.benchmarks)}"

    def judge_models(self) -> tuple[str, ...]:
        """The reference to the model that judges in this process, if one does."""
        return (self.judge.model,) if isinstance(self.judge, ByModel) else ()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoint that judges, if one does."""
        return (self.judge.endpoint,) if isinstance(self.judge, ByEndpoint) else ()

    def endpoint_logs(self) -> Mapping[str, tuple[str, ...]]:
        """What the judge replied, and the key that decides it."""
        return {"judge": ("judge",)} if isinstance(self.judge, ByEndpoint) else {}

    @model_validator(mode="after")
    def _known_baseline(self) -> Self:
        if self.baseline is not None and self.baseline not in self.models:
            raise ValueError(f"baseline {self.baseline!r} is not one of models: add it there, {', '.join(self.models)}")
        return self
