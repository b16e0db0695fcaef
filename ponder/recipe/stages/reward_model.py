"""The `reward_model` stage: what is helpful, what is safe."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.reward_model import MicroPreferences, PreferenceSource, StagePreferences, preference_name
from ponder.recipe.stages.base import StageBase, TemplateName
from ponder.recipe.training import BatchLimits, Optimizer, Precision

__all__ = ["RewardModelStage"]


class RewardModelStage(StageBase):
    """A scalar head on a model, trained on pairs of answers (helpfulness) or on labelled responses (safety)."""

    kind: Literal["reward_model"] = "reward_model"
    """Tag of this alternative."""
    model: str
    """What the scorer starts from: a stage's name, a path, a hub id, `micro` or `micro-student`."""
    template: TemplateName | None = None
    """Prompt form; null takes the one saved with the model."""
    loss: Literal["pairwise", "pointwise"]
    """`pairwise` compares two answers to one prompt (Bradley-Terry, Nature eq. 5), `pointwise` tells safe from unsafe
    responses (binary cross-entropy; the paper says `point-wise` and no formula)."""
    scope: Literal["answer", "response"] | None = None
    """What is scored besides the prompt: the final answer only, or the whole response with its thinking. Saved with the
    model. Null is `answer` for pairwise and `response` for pointwise, as in R1."""
    data: tuple[PreferenceSource, ...] = Field(min_length=1)
    """Pairs for the pairwise loss (66,000 in R1), labelled responses for the pointwise one (106,000 in R1)."""
    held_out: tuple[PreferenceSource, ...] = ()
    """What accuracy and calibration are measured on; where it is empty, `held_out_share` of `data` is."""
    held_out_share: float = Field(0.05, gt=0, lt=1)
    """Share of the prompts of `data` that are measured on instead of trained on, where `held_out` is empty."""
    epochs: int = Field(1, ge=1)
    """Passes over the data (1 in R1)."""
    batch_size: int = Field(256, ge=1)
    """Most pairs or labels in one update (256 in R1); an epoch is dealt out evenly to as few updates as that allows."""
    max_tokens: int = Field(8192, ge=2)
    """Rows with a longer prompt and response are left out and counted (8,192 in R1); scoring has no limit but the
    model's window."""
    evaluate_every: int | None = Field(None, ge=1)
    """Also measure every so many steps; null only at the start and at the end."""
    optimizer: Optimizer = Optimizer(lr=6e-6)
    """Optimizer and schedule (learning rate 6e-6 in R1)."""
    batch: BatchLimits = BatchLimits()
    """Memory limits."""
    precision: Precision = "auto"
    """Arithmetic of forward and backward passes."""
    checkpoint_every: int = Field(20, ge=1)
    """Steps between checkpoints; a killed run goes on from the last."""
    keep_checkpoints: int = Field(1, ge=1)
    """Older checkpoints are removed."""

    @model_validator(mode="after")
    def _whole_passes(self) -> Self:
        if self.batch.context > 1:
            raise ValueError(
                f"`batch.context` is {self.batch.context}, but a reward model's passes are each made by one rank; set "
                "it to 1"
            )
        return self

    @model_validator(mode="after")
    def _long_winded_pairs(self) -> Self:
        sources = [one for one in (*self.data, *self.held_out) if isinstance(one, MicroPreferences)]
        if self.loss == "pointwise" and any(one.long_winded for one in sources):
            raise ValueError("`long_winded` is a share of pairs, and a pointwise loss learns from labels: remove it")
        return self

    @property
    def scored(self) -> Literal["answer", "response"]:
        """The scope, the loss's usual one where none is given."""
        return self.scope or ("answer" if self.loss == "pairwise" else "response")

    def writers(self) -> tuple[str, ...]:
        return (self.model,)

    def takes(self) -> Mapping[str, str]:
        output = "pairs" if self.loss == "pairwise" else "labels"
        sources = (*self.data, *self.held_out)
        return {source.stage: output for source in sources if isinstance(source, StagePreferences)}

    def lengths(self) -> tuple[str, ...]:
        return ("epochs",)

    def reads(self) -> str:
        return f"{self.model} on {', '.join(preference_name(source) for source in self.data)}"
