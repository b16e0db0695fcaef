"""How completions are sampled."""

from typing import Literal

from pydantic import Field, model_validator

from ponder.recipe.base import Component

__all__ = ["EngineConfig", "LengthStep", "Sampling"]


class LengthStep(Component):
    """One change of the maximum length during training (R1-Zero: 32,768 until step 8,200, then 65,536)."""

    from_step: int = Field(ge=0)
    """First step with this limit."""
    max_tokens: int = Field(ge=1)
    """Limit from that step on."""


class Sampling(Component):
    """The distribution completions come from."""

    temperature: float = Field(1.0, ge=0)
    """Softmax temperature; 0 is greedy (refused in training). R1-Zero and RL stage 1 use 1, RL stage 2 0.7, evaluation
    0.6."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus mass; training refuses values below 1, since the trainer could not replay the truncated distribution."""
    top_k: int = Field(0, ge=0)
    """Number of most likely tokens kept; 0 keeps all. Training refuses values above 0."""
    max_tokens: int = Field(512, ge=1)
    """Longest completion, in tokens."""
    length_schedule: tuple[LengthStep, ...] = ()
    """Later changes of `max_tokens`, in order of `from_step`."""

    @model_validator(mode="after")
    def _ordered(self) -> "Sampling":
        steps = [s.from_step for s in self.length_schedule]
        if steps != sorted(set(steps)):
            raise ValueError(f"length_schedule must rise strictly in from_step, got {steps}")
        return self

    def max_tokens_at(self, step: int) -> int:
        """The length limit in force at `step`."""
        limit = self.max_tokens
        for change in self.length_schedule:
            if step >= change.from_step:
                limit = change.max_tokens
        return limit


class EngineConfig(Component):
    """Where completions are computed."""

    kind: Literal["local"] = "local"
    """`local` samples in this process from the very tensors being trained."""
    max_slots: int = Field(256, ge=1)
    """Sequences decoded at one time; a finished one gives its slot to the next."""
    parity_tolerance: float = Field(0.02, gt=0)
    """Step 0 stops the run if engine and trainer log-probs differ by more than this in the mean of absolute values over
    64 completions (on a CPU fp32 agrees to about 1e-6, bf16 to about 1e-3)."""
