"""The `evaluate` stage: scores of models on benchmarks."""

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.endpoint import ByEndpoint, ByModel, Endpoint, Helper
from ponder.recipe.environment import Environment
from ponder.recipe.own import OwnNames, OwnUse
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import Precision

__all__ = ["BaselineAnswers", "EvaluateStage"]


class BaselineAnswers(Component):
    """Answers that others published, to be compared with, such as those of AlpacaEval's reference model."""

    source: Literal["file"] = "file"
    """Tag of what is read."""
    path: str
    """JSONL, JSON, CSV or Parquet, relative to the working directory; `~` and `$VARIABLES` are expanded."""
    name: str = "baseline"
    """Whose answers they are, in tables."""
    prompt: str = "instruction"
    """Column with the question, word for word as the benchmark has it."""
    answer: str = "output"
    """Column with the answer, without thinking."""


class EvaluateStage(StageBase):
    """k samples per problem of each model on each benchmark."""

    kind: Literal["evaluate"] = "evaluate"
    """Tag of this alternative."""
    models: tuple[str, ...] = ()
    """Stage names, paths, hub ids, `micro` or `micro-student`."""
    served: dict[str, Endpoint] = Field(default_factory=dict, exclude_if=lambda value: not value)
    """Models at endpoints, by the names that they go by in tables: asked and judged like `models` (docs/evaluation.md).
    Their servers have templates of their own."""
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
    environment: Environment | None = Field(None, exclude_if=lambda value: value is None)
    """Who answers the models, as in training: tools, or a class of your own as `game.py:Guess` (docs/tools.md). A
    benchmark's `max_tokens` are then those of a whole conversation. Null ends a conversation with the first reply."""
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
    baseline_answers: BaselineAnswers | None = Field(None, exclude_if=lambda value: value is None)
    """A file of answers in the place of `baseline`, for a judge that reads: one to each question of the benchmarks with
    `judge: preference`, with which every sample of every model is compared."""
    judge: Helper | None = None
    """Who compares answers, and who says whether an answer agrees with its reference on benchmarks with `judge:
    correctness` (GPT-4-Turbo-1106 in the paper), or whether a response is safe with `judge: safety`. Null or `rule`
    compares by the verifiers' scores, and tells refusals by phrases."""
    control: str | None = None
    """YAML file of keyword rules (docs/serve.md, risk control): on benchmarks with `judge: safety` every model is
    measured once more as a service that controls risk would answer: a request or response that the rules select and
    the judge calls unsafe is withheld. Null measures the models alone."""
    votes: int = Field(2, ge=1)
    """How often a judge compares each pair of answers, in an order drawn each time; the mean decides. The paper gives
    no number for its evaluations."""

    def writers(self) -> tuple[str, ...]:
        return (*self.models, *self.judge_models())

    def rule_files(self) -> tuple[str, ...]:
        return () if self.control is None else (self.control,)

    def benchmark_names(self) -> tuple[str, ...]:
        return self.benchmarks

    def products(self) -> tuple[str, ...]:
        return ("evaluation",)

    def metric_names(self) -> tuple[str, ...]:
        return self.metrics

    def own_uses(self) -> tuple[OwnUse, ...]:
        return (*super().own_uses(), *(self.environment.own_uses() if self.environment is not None else ()))

    def text_folders(self) -> tuple[str, ...]:
        folder = None if self.environment is None else self.environment.folder
        return () if folder is None else (folder,)

    def reads(self) -> str:
        return f"{', '.join(self.names())} on {', '.join(self.benchmarks)}"

    def names(self) -> tuple[str, ...]:
        """All that are measured, by the names that they go by."""
        return (*self.models, *self.served)

    def judge_models(self) -> tuple[str, ...]:
        """The reference to the model that judges in this process, if one does."""
        return (self.judge.model,) if isinstance(self.judge, ByModel) else ()

    def judge_endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoint that judges, if one does."""
        return (self.judge.endpoint,) if isinstance(self.judge, ByEndpoint) else ()

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that are measured, and the one that judges."""
        return (*self.served.values(), *self.judge_endpoints())

    def endpoint_logs(self) -> Mapping[str, tuple[str, ...]]:
        """What the judge and the measured ones replied, and the keys that decide it."""
        judge = {"judge": ("judge",)} if isinstance(self.judge, ByEndpoint) else {}
        return {**{self.log(name): ("served",) for name in self.served}, **judge}

    @staticmethod
    def log(name: str) -> str:
        """What the log of a measured endpoint's replies is called."""
        return f"served-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not self.names():
            raise ValueError("there is no model to measure: name one in models, or an endpoint in served")
        if both := [name for name in self.served if name in self.models]:
            raise ValueError(f"{both[0]!r} stands in models and in served: give the endpoint another name")
        if self.engine.lag:
            raise ValueError(
                f"engine.lag is {self.engine.lag}, but nothing is trained while models are measured: remove it"
            )
        if self.environment is not None and self.engine.kind == "vllm":
            raise ValueError(
                "engine.kind is vllm, and conversations with an environment are drawn by ponder's own engine: set it "
                "to local, or remove environment"
            )
        if self.environment is not None and self.served:
            raise ValueError(
                "environment answers models that are sampled here, and those in served are asked single questions, so "
                "that the two could not be compared: measure them in a stage of their own, without environment"
            )
        if self.baseline is not None and self.baseline not in self.names():
            raise ValueError(
                f"baseline {self.baseline!r} is not one of models: add it there, {', '.join(self.names())}"
            )
        if self.baseline_answers is not None:
            if self.baseline is not None:
                raise ValueError(
                    "baseline and baseline_answers are both given: there is one baseline, so leave one out"
                )
            if not isinstance(self.judge, ByModel | ByEndpoint):
                raise ValueError(
                    "baseline_answers needs a judge that reads answers: set judge to a model or an endpoint"
                )
        return self
