"""Settings of supervised fine-tuning: the published ones by name, and adapters."""

from collections.abc import Set
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import Field

from ponder.errors import RecipeError
from ponder.recipe.base import Component

__all__ = ["SFT_DEFAULTS", "SFT_PRESETS", "Lora", "SftPreset", "check_peft", "with_preset"]

SftPreset = Literal[
    "cold-start",
    "r1-800k",
    "distill-qwen2.5-math-1.5b",
    "distill-qwen2.5-math-7b",
    "distill-qwen2.5-14b",
    "distill-qwen2.5-32b",
    "distill-llama-3.1-8b",
    "distill-llama-3.3-70b",
]

SFT_DEFAULTS: dict[str, Any] = {"lr": 5e-5, "schedule": "cosine", "final_lr_ratio": 0.1}
"""What the optimizer is where the recipe and its preset do not say: cosine down to a tenth (R1 v2, B.4.2)."""


def _distill(lr: float) -> dict[str, Any]:
    """B.4.3 and table 6 of R1 v2. Epochs: 2-3 are stated, 2 is what v1 says of the same 800k examples."""
    return {"template": "r1", "epochs": 2.0, "batch_size": 64, "max_tokens": 32768, "optimizer": {"lr": lr}}


_R1: dict[str, Any] = {"template": "r1", "batch_size": 128, "max_tokens": 32768, "optimizer": {"lr": 5e-5}}
"""Both SFT stages of R1 (v2, B.4.2): 5e-5 to 5e-6, batch 128, context 32,768, 2-3 epochs."""

SFT_PRESETS: dict[str, dict[str, Any]] = {
    "cold-start": {**_R1, "epochs": 3.0},  # thousands of examples only, so the upper end of what is stated
    "r1-800k": {**_R1, "epochs": 2.0},  # two in v1, 2-3 in v2
    "distill-qwen2.5-math-1.5b": _distill(1e-4),
    "distill-qwen2.5-math-7b": _distill(8e-5),
    "distill-qwen2.5-14b": _distill(7e-5),
    "distill-qwen2.5-32b": _distill(6e-5),
    "distill-llama-3.1-8b": _distill(5e-5),
    "distill-llama-3.3-70b": _distill(2e-5),
}
"""What each preset sets; a key given in the recipe goes before it, inside `optimizer`, too."""


def with_preset(preset: str | None, stage: Set[str], optimizer: Set[str]) -> dict[str, Any]:
    """What a preset and then the defaults set of those keys that the recipe does not give: `stage` and `optimizer` are
    the given ones. Those of the optimizer stand under its name."""
    settings = SFT_PRESETS[preset] if preset is not None else {}
    filled = {key: value for key, value in settings.items() if key not in stage}
    chosen = {**SFT_DEFAULTS, **settings.get("optimizer", {})}
    return filled | {"optimizer": {key: value for key, value in chosen.items() if key not in optimizer}}


class Lora(Component):
    """Low-rank adapters in place of full training (arXiv 2106.09685), through `peft`. They are merged into the model
    that the stage leaves behind."""

    rank: int = Field(16, ge=1)
    """Columns of each adapter."""
    alpha: int = Field(32, ge=1)
    """The adapter's product is scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the linear modules that get an adapter, such as q_proj, wherever the model has them, experts that are
    one tensor included; empty means every linear module but the output projection. R1 trained without adapters; this
    choice is ours."""


def check_peft() -> None:
    """RecipeError if `peft` is not installed."""
    if find_spec("peft") is None:
        raise RecipeError(
            "`lora` needs the library peft, which is not installed here. Install it with `pip install 'ponder[peft]'`, "
            "or remove `lora` to train all weights"
        )
