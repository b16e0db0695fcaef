"""When a layer's activations are computed again in the backward pass in place of being kept. No torch: trainers decide
by it, and plans reckon with it."""

from ponder.recipe.shape import Shape
from ponder.recipe.training import Recompute

__all__ = ["activation_bytes", "kept_bytes", "recomputes", "room_bytes"]

_FP32, _BF16 = 4, 2
_STATE_BYTES = 20
"""Of a parameter in training: weight, gradient, two moments, and a copy for products or a reference."""
_SHARE = 0.5
"""Of the memory that those leave, so much may be activations."""


def room_bytes(memory_bytes: int, parameters: int, ranks: int = 1) -> int:
    """What activations of a pass may take on a device of so much memory, on which one of `ranks` processes trains."""
    return int(_SHARE * max(0, memory_bytes - _STATE_BYTES * parameters // ranks))


def kept_bytes(shape: Shape, tokens: int, *, bf16: bool) -> int:
    """What a backward pass over so many tokens needs of all layers where nothing is computed again."""
    return tokens * (shape.kept * (_BF16 if bf16 else _FP32) + shape.kept_fp32 * _FP32)


def recomputes(asked: Recompute, kept: int, room: int | None) -> bool:
    """Whether a pass whose activations take `kept` bytes computes them again; `auto` does where they do not fit into
    `room`, which None says is not known."""
    if asked == "auto":
        return room is not None and kept > room
    return asked


def activation_bytes(shape: Shape, tokens: int, *, bf16: bool, recompute: bool) -> int:
    """What a pass holds for its backward pass at most; computed again, what goes into each layer and what the one at
    work keeps."""
    kept = kept_bytes(shape, tokens, bf16=bf16)
    return tokens * shape.layers * shape.hidden * _FP32 + kept // shape.layers if recompute else kept
