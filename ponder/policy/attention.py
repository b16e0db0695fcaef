"""One attention implementation for training and sampling, plugged into transformers by name.

transformers lets a model call any registered attention function; ours hands query, key and value to the *layout* that
the caller passes to the model's forward. The layout knows which tokens belong together:

- `PackedLayout` (policy/packed.py): training; many sequences in one row of tokens, none sees another.
- `SlotLayout` (rollout/slots.py): sampling; one new token per slot against that slot's cached keys and values.

So every transformers model that uses the attention interface packs and samples here without a line of its own.
"""

import os
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from ponder.errors import ModelError

__all__ = ["ATTENTION_NAME", "Layout", "attention_dtype", "register"]

ATTENTION_NAME = "ponder"
_KERNELS = 64

_UNSUPPORTED = ("softcap", "s_aux", "indices", "block_indices")
"""Attention variants that change the formula and that layouts do not compute. A sliding window is none as long as no
sequence is longer: `window.py` sees to that."""


class Layout(Protocol):
    """Which tokens attend to which."""

    def attend(
        self, query_BHTD: torch.Tensor, key_BKLD: torch.Tensor, value_BKLE: torch.Tensor, scaling: float
    ) -> torch.Tensor:
        """Attention output (batch, tokens, heads, value size). K divides H: grouped queries share a key head."""
        ...


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    layout: Layout | None = None,
    is_causal: bool | None = None,
    **variant: Any,
) -> tuple[torch.Tensor, None]:
    if layout is None:
        raise AssertionError("the ponder attention needs model(..., layout=...)")
    for name in _UNSUPPORTED:
        if variant.get(name) is not None:
            raise ModelError(
                f"{type(module).__name__} asks for attention with {name}={variant[name]!r}, which ponder does not "
                "compute; use a model with full attention"
            )
    if attention_mask is not None or is_causal is False:
        raise ModelError(
            f"{type(module).__name__} asks for attention with a mask of its own, which ponder does not compute; use a "
            f"model with full causal attention"
        )
    if dropout:
        raise ModelError(f"{type(module).__name__} asks for attention dropout {dropout}; set attention_dropout to 0")
    return layout.attend(query, key, value, scaling if scaling is not None else query.shape[-1] ** -0.5), None


def attention_dtype(device: torch.device, products: torch.dtype) -> torch.dtype:
    """What queries, keys and values are attended in where other products are of dtype `products`: the same on CUDA,
    whose kernels keep scores in float32; elsewhere float32, in which a CPU's kernels are fastest. Training and sampling
    ask here, since rounding on one side alone makes their log-probs differ."""
    return products if device.type == "cuda" else torch.float32


def register() -> None:
    """Make `attn_implementation="ponder"` known to transformers; repeating it changes nothing.

    On a CPU, oneDNN makes a kernel for every shape of matrix and keeps 1,024 of them, by default. Sampling has ever new
    shapes, so that a run grows by hundreds of megabytes over hundreds of steps; `_KERNELS` are as fast.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))  # read at the first matrix product
    AttentionInterface.register(ATTENTION_NAME, _attention)
