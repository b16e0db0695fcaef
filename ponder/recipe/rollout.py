"""How completions are sampled."""

import importlib.metadata
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ponder.errors import RecipeError
from ponder.recipe.base import Component

__all__ = ["EngineConfig", "LengthStep", "Sampling", "TemperatureStep", "check_vllm", "has_vllm"]

_CACHE_SHARE = 0.5
_VLLM = "0.32"
"""The versions of vLLM whose weights can be replaced as ponder does it."""


class LengthStep(Component):
    """One change of the maximum length during training (R1-Zero: 32,768 until step 8,200, then 65,536)."""

    from_step: int = Field(ge=0)
    """First step with this limit."""
    max_tokens: int = Field(ge=1)
    """Limit from that step on."""


class TemperatureStep(Component):
    """One change of the temperature during training."""

    from_step: int = Field(ge=0)
    """Policy updates made before the change, rounded up to the beginning of a rollout."""
    temperature: float = Field(gt=0)
    """Temperature from there on."""


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
    temperature_schedule: tuple[TemperatureStep, ...] = ()
    """Later changes of `temperature` in training, in order of `from_step`."""

    @model_validator(mode="after")
    def _ordered(self) -> "Sampling":
        schedules = {
            "length_schedule": [change.from_step for change in self.length_schedule],
            "temperature_schedule": [change.from_step for change in self.temperature_schedule],
        }
        for name, steps in schedules.items():
            if steps != sorted(set(steps)):
                raise ValueError(f"{name} must rise strictly in from_step, got {steps}")
        return self

    def temperature_at(self, step: int) -> float:
        """The temperature of a rollout that begins after `step` updates."""
        found = [change.temperature for change in self.temperature_schedule if change.from_step <= step]
        return found[-1] if found else self.temperature

    def max_tokens_at(self, step: int) -> int:
        """The length limit in force at `step`."""
        limit = self.max_tokens
        for change in self.length_schedule:
            if step >= change.from_step:
                limit = change.max_tokens
        return limit


class EngineConfig(Component):
    """Where completions are computed."""

    kind: Literal["auto", "local", "vllm"] = "local"
    """`local` samples by ponder's own code from the very tensors being trained; `vllm` by vLLM in the same process,
    which is given the weights anew before each batch (docs/scale.md); `auto` is `vllm` on a CUDA GPU where vLLM is
    installed and `local` elsewhere."""
    max_slots: int = Field(256, ge=1)
    """Sequences decoded at one time; a finished one gives its slot to the next."""
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Engines that draw at the same time, each in a process of its own, where `ponder run --on` places workers: it has
    no effect on what is drawn. `auto` is one for each GPU that no rank has, or for each CPU core, or for half of them
    with `lag`."""
    lag: int = Field(0, ge=0, le=8, exclude_if=lambda value: value == 0)
    """Of an `rl` stage: draw each rollout with the weights that the rollout so many before it began with, in a second
    process, or by the engines that `ponder run --on` places, while this one trains (docs/scale.md). Its completions are
    then lag x updates_per_rollout updates older, no more and no less. 0 draws and trains in turn."""
    interrupt: bool = Field(False, exclude_if=lambda value: not value)
    """With `lag`: completions that are being drawn when a rollout's updates are made go on by the new weights, so that
    long ones are of several versions, each token by the newest that there was. How much is drawn by which depends on
    time: such a run does not repeat bit for bit."""
    cache_gib: float | None = Field(None, gt=0)
    """GiB that keys and values may take in the `local` engine; null takes half of the device's memory. A completion
    begins when there is room for it, and for its prompt, at their limits, so none that has begun runs out."""
    parity_tolerance: float = Field(0.02, gt=0)
    """Step 0 stops the run if engine and trainer log-probs differ by more than this in the mean of absolute values over
    64 completions (on a CPU fp32 agrees to about 1e-6, bf16 to about 1e-3)."""

    @model_validator(mode="after")
    def _interrupted(self) -> Self:
        if self.interrupt and self.lag == 0:
            raise ValueError(
                "interrupt is true, but with lag 0 nothing is drawn while it trains: set lag to 1 or more, or remove "
                "interrupt"
            )
        return self

    def cache_bytes(self, memory_bytes: int) -> int:
        """What keys and values may take on a device of so much memory."""
        return int(_CACHE_SHARE * memory_bytes) if self.cache_gib is None else int(self.cache_gib * 2**30)


def has_vllm() -> bool:
    """Whether vLLM is installed, whatever its version."""
    return find_spec("vllm") is not None


def check_vllm() -> None:
    """RecipeError unless a vLLM that ponder knows is installed."""
    if not has_vllm():
        raise RecipeError(
            f"`engine.kind: vllm` needs vLLM {_VLLM}, which is not installed here. Install it with "
            f"`pip install 'ponder[vllm]'` on a machine with a CUDA GPU, or as docs/scale.md says on one without, or "
            f"set `engine.kind` to local"
        )
    names = importlib.metadata.packages_distributions().get("vllm", [])
    versions = [importlib.metadata.version(name) for name in names]
    if not any(version == _VLLM or version.startswith(f"{_VLLM}.") for version in versions):
        raise RecipeError(
            f"`engine.kind: vllm` needs vLLM {_VLLM}, and {', '.join(versions) or 'one of no version'} is installed "
            f"here: how weights are replaced differs between versions. Install `ponder[vllm]`, or set "
            f"`engine.kind` to local"
        )
