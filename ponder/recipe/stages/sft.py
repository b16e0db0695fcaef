"""The `sft` stage: learning from examples."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.examples import ExampleSource, StageExamples, source_name
from ponder.recipe.problems import HeldOut, ProblemSource
from ponder.recipe.sft import Lora, SftPreset, with_preset
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import BatchLimits, Optimizer, Precision

__all__ = ["SftStage"]


class SftStage(StageBase):
    """Supervised fine-tuning on examples: cold start, the 800k stage of R1, distillation. The loss is the mean over all
    response tokens of an update, end tokens included; nothing of a prompt is learnt."""

    kind: Literal["sft"] = "sft"
    """Tag of this alternative."""
    preset: SftPreset | None = None
    """Published settings by name; every other key of this stage goes before what the preset sets."""
    model: str
    """A stage's name, a path, a hub id (`organisation/name`, or with `@revision`), or
    `micro` or `micro-student`, the embedded models."""
    template: TemplateName | None = None
    """Form of prompts and responses, saved with the new model; null takes the one saved with the old."""
    examples: tuple[ExampleSource, ...] = Field(min_length=1)
    """What is learnt."""
    decontaminate: tuple[str, ...] = ()
    """Benchmarks, by name or file: examples that share ten words in a row with one of them are left out and listed in
    `decontamination.json` (R1 v2, D.1)."""
    epochs: float = Field(2.0, gt=0)
    """Passes over the examples, each counted with its source's weight (2-3 in R1: v2, B.4.2)."""
    steps: int | None = Field(None, ge=1)
    """Updates; null makes as many as `epochs` takes, the last one smaller where the examples do not fill it."""
    batch_size: int = Field(128, ge=1)
    """Examples in one update (128 in R1's SFT stages, 64 in distillation)."""
    max_tokens: int | None = Field(None, ge=2)
    """Longest example, prompt included (32,768 in R1): a longer one is left out and counted, never cut. Null takes the
    model's window."""
    validation_share: float = Field(0.02, ge=0, lt=1)
    """Share of the examples that are not trained on and tell the validation loss; examples with the same prompt stand
    on the same side. 0 has none. Not stated by R1."""
    validation_limit: int = Field(512, ge=1)
    """Most examples that are held back for it."""
    validation_every: int | None = Field(None, ge=1)
    """Steps between validation losses; null measures at the start and at the end of every epoch. It is always measured
    before the first and after the last update."""
    held_out: HeldOut | None = None
    """Problems that are measured on, before and after training and in between as they say. Their `max_tokens` null is
    what the stage's own leaves beside its longest prompt."""
    lora: Lora | None = None
    """Train low-rank adapters in place of all weights; null trains all weights, as R1 did."""
    optimizer: Optimizer = Optimizer(lr=5e-5, schedule="cosine")
    """Optimizer and schedule. Whatever is not given here is as in this default, or as the preset says."""
    batch: BatchLimits = BatchLimits()
    """Memory limits."""
    precision: Precision = "auto"
    """Arithmetic of forward and backward passes."""
    checkpoint_every: int = Field(50, ge=1)
    """Steps between checkpoints; a killed run goes on from the last."""
    keep_checkpoints: int = Field(1, ge=1)
    """Older checkpoints are removed."""

    def writers(self) -> tuple[str, ...]:
        return (self.model,)

    def takes(self) -> Mapping[str, str]:
        examples = {source.stage: "examples" for source in self.examples if isinstance(source, StageExamples)}
        return {**super().takes(), **examples}

    def metric_names(self) -> tuple[str, ...]:
        return self.held_out.metrics if self.held_out is not None else ()

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        return self.held_out.problems if self.held_out is not None else ()

    def benchmark_names(self) -> tuple[str, ...]:
        return self.decontaminate

    def lengths(self) -> tuple[str, ...]:
        return ("epochs", "steps")

    def reads(self) -> str:
        return f"{self.model} on {', '.join(source_name(source) for source in self.examples)}"

    @model_validator(mode="after")
    def _fill(self) -> Self:
        """Afterwards, since what is given is known only then; a frozen component is completed before anyone sees it."""
        given = self.optimizer.model_fields_set if "optimizer" in self.model_fields_set else set()
        settings = with_preset(self.preset, self.model_fields_set, given)
        settings["optimizer"] = self.optimizer.model_copy(update=settings["optimizer"])
        for key, value in settings.items():
            object.__setattr__(self, key, value)
        if self.lora is not None and self.batch.ranks > 1:
            raise ValueError(
                f"`batch.ranks` is {self.batch.ranks}, but adapters are trained by one process; set it to 1, or leave "
                "`lora` out"
            )
        return self
