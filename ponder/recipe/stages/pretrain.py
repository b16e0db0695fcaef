"""The `pretrain` stage: a base model of the embedded world."""

from typing import Any, Literal

from pydantic import Field

from ponder.recipe.base import Component
from ponder.recipe.problems import HeldOut, ProblemSource
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import BatchLimits, Optimizer, Precision

__all__ = ["CorpusSource", "PretrainStage"]


class CorpusSource(Component):
    """Documents of the embedded world."""

    seed: int = 0
    """Generator seed."""
    tokenizer_documents: int = Field(5000, ge=1)
    """First documents, from which the tokenizer is learnt."""
    careful: float = Field(0.17, ge=0, le=1)
    """Share of the answers in conversations that are thought through; textbooks are careful throughout. The tokenizer
    does not depend on it."""


class PretrainStage(StageBase):
    """Next-token training from random weights on packed documents of the embedded world."""

    kind: Literal["pretrain"] = "pretrain"
    """Tag of this alternative."""
    architecture: dict[str, Any]
    """A transformers configuration: `model_type` and its fields; the vocabulary is filled in."""
    vocabulary: int = Field(2048, ge=1300)
    """Tokens of the tokenizer learnt from the corpus (bytes and the numbers 0 to 999 take 1,260)."""
    corpus: CorpusSource = CorpusSource()
    """Documents."""
    tokens: int = Field(ge=1)
    """Training tokens."""
    tokens_per_step: int = Field(16384, ge=1)
    """Tokens in one update."""
    template: TemplateName = "r1-zero"
    """Prompt form saved with the model."""
    held_out: HeldOut | None = None
    """What is measured at the end: the base's accuracy per task."""
    optimizer: Optimizer = Optimizer(lr=2e-3, warmup_steps=100, schedule="cosine", weight_decay=0.1)
    """Optimizer and schedule."""
    batch: BatchLimits = BatchLimits()
    """Memory limits."""
    precision: Precision = "auto"
    """Arithmetic of forward and backward passes."""
    checkpoint_every: int = Field(200, ge=1)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(1, ge=1)
    """Older checkpoints are removed."""

    def metric_names(self) -> tuple[str, ...]:
        return self.held_out.metrics if self.held_out is not None else ()

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        return self.held_out.problems if self.held_out is not None else ()

    def lengths(self) -> tuple[str, ...]:
        return ("tokens",)

    def reads(self) -> str:
        return "the embedded world's corpus"
