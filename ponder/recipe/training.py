"""How weights change: precision, optimizer, schedule, batching."""

from typing import Annotated, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from ponder.recipe.base import Component

__all__ = ["BatchLimits", "Optimizer", "Precision", "Recompute"]

Precision = Literal["auto", "fp32", "bf16"]
"""`bf16` computes matrix products under bf16 autocast over fp32 weights; `auto` is bf16 where the machine has fast
bf16 products (CUDA, or a CPU with AMX or AVX512-BF16) and fp32 elsewhere. Log-softmax is fp32 in every case."""

Recompute = Literal["auto"] | bool

Beta = Annotated[float, Field(ge=0, lt=1)]
"""A decay rate."""


class Optimizer(Component):
    """AdamW with warm-up, a schedule and gradient clipping."""

    lr: float = Field(3e-6, gt=0)
    """Peak learning rate (3e-6 in every RL stage of R1: Nature Methods)."""
    warmup_steps: int = Field(0, ge=0)
    """Steps of linear warm-up from 0."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Shape of the learning rate after warm-up."""
    final_lr_ratio: float = Field(0.1, ge=0, le=1)
    """Learning rate at the last step as a share of the peak, for `linear` and `cosine` (0.1 in R1's SFT stages)."""
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    """AdamW moments (DeepSeek-V3 report, section 4; R1 states none for RL)."""
    eps: float = Field(1e-8, gt=0)
    """AdamW epsilon."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay of matrices; vectors are never decayed."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""
    outlier_factor: float = Field(20.0, gt=1)
    """A gradient whose norm exceeds this multiple of the running median is skipped and saved, like a non-finite one."""
    max_skipped_in_a_row: int = Field(5, ge=1)
    """The run stops with an error after this many skipped updates in a row."""


class BatchLimits(Component):
    """What fits in memory. Nothing here changes the gradient, only how many passes it takes."""

    tokens_per_micro_batch: int = Field(4096, ge=1)
    """Packed tokens in one forward and backward pass. 4,096 stay in the caches of a CPU, where 16,384 take a fifth
    longer; on a GPU raise it for models of less than a billion parameters. A longer single sequence gets a pass of its
    own. Halved, and the step redone, when memory runs out."""
    logprob_chunk: int = Field(2048, ge=1)
    """Tokens whose logits exist at one time; peak memory is this many rows of the vocabulary."""
    recompute: Recompute = "auto"
    """Whether a backward pass computes each layer's activations again in place of keeping them: a third more arithmetic
    in an update, for the memory of one layer in place of all. `auto` does so for passes whose activations would take
    more than half of the memory that weights, gradients and moments leave. Gradients are the same."""
    ranks: int = Field(1, ge=1)
    """Processes that train together, each with its part of the weights, gradients and moments: one per GPU, or several
    on the cores of a CPU. Sampling stays in the first process. Results differ from those of one process by rounding."""
    context: int = Field(1, ge=1, le=64, exclude_if=lambda value: value == 1)
    """Ranks that share each pass, for sequences whose activations are too much for one: each has its part of the
    tokens, and for attention its part of the heads, which it must divide. A power of two that divides `ranks`. A pass
    then has so many times `tokens_per_micro_batch`."""
    _asked: int | None = PrivateAttr(None)

    @property
    def asked(self) -> int:
        """`tokens_per_micro_batch` as the recipe has it, however often it was `halved`."""
        return self._asked or self.tokens_per_micro_batch

    def halved(self) -> Self:
        """The same with passes of half the tokens, one at least."""
        less = self.model_copy(update={"tokens_per_micro_batch": max(1, self.tokens_per_micro_batch // 2)})
        less._asked = self.asked
        return less

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.context & (self.context - 1) or self.ranks % self.context:
            raise ValueError(
                f"`context` is {self.context}, with {self.ranks} `ranks`: ranks share a pass by twos, fours and so on, "
                f"so it must be a power of two that divides `ranks`"
            )
        return self
