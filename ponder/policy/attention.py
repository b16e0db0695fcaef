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
from ponder.policy.repeatable import CUBLAS_WORKSPACE

__all__ = [
    "ATTENTION_NAME",
    "OWN_CODE",
    "Layout",
    "PlainLayout",
    "Unpackable",
    "attention_dtype",
    "body",
    "reach_of",
    "register",
    "set_reach",
]

ATTENTION_NAME = "ponder"
OWN_CODE = "eager"
"""What transformers calls the attention that defines a model: the plain formulas of its own code."""
_KERNELS = 64

_UNSUPPORTED = ("softcap", "indices", "block_indices")
"""Attention variants that change the formula and that layouts do not compute."""
_REACH = "ponder_reach"


class Layout(Protocol):
    """Which tokens attend to which."""

    def attend(
        self,
        query_BHTD: torch.Tensor,
        key_BKLD: torch.Tensor,
        value_BKLE: torch.Tensor,
        scaling: float,
        reach: int | None = None,
        sinks_H: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attention output (batch, tokens, heads, value size). K divides H: grouped queries share a key head.

        A token sees the last `reach` tokens of its sequence, itself included (a sliding window); None is all of them.
        `sinks_H` is for each head the score of one more place, which holds nothing and takes its share of the softmax
        (Xiao et al. 2023, arXiv 2309.17453; gpt-oss).
        """
        ...


class PlainLayout(Protocol):
    """A layout that models run through which attend by their own code."""

    def plain(self, model: Any, input_ids_1T: torch.Tensor) -> torch.Tensor:
        """Hidden states (T, D) of the base model for these tokens, which stand as the layout says."""
        ...


class Unpackable(ModelError):
    """What a model computes cannot be packed, nor sampled from shared keys and values; its own code may do it.

    `reason` is a clause that goes on after "since"."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The model cannot be packed, since {reason}. Use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
        )
        self.reason = reason


def body(model: Any) -> Any:
    """The model without its head, which gives hidden states."""
    if model.base_model is not model:
        return model.base_model
    embeddings = model.get_input_embeddings()  # some models give their body a name that they do not tell
    return next(child for child in model.children() if any(one is embeddings for one in child.modules()))


def set_reach(module: torch.nn.Module, reach: int | None) -> None:
    """How far back this attention module's tokens see, as `window.py` found by the masks that its model asks for."""
    setattr(module, _REACH, reach)


def reach_of(module: torch.nn.Module) -> int | None:
    """What `set_reach` said of it; None for any other module, too."""
    reach: int | None = module.__dict__.get(_REACH)
    return reach


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
    s_aux: torch.Tensor | None = None,
    **variant: Any,
) -> tuple[torch.Tensor, None]:
    if layout is None:
        raise AssertionError("the ponder attention needs model(..., layout=...)")
    for name in _UNSUPPORTED:
        if variant.get(name) is not None:
            shown = variant[name] if isinstance(variant[name], int | float) else "..."
            raise Unpackable(f"{type(module).__name__} asks for attention with {name}={shown}")
    if attention_mask is not None or is_causal is False:
        raise Unpackable(f"{type(module).__name__} asks for attention with a mask of its own")
    if dropout:
        raise ModelError(f"{type(module).__name__} asks for attention dropout {dropout}; set attention_dropout to 0")
    reach: int | None = module.__dict__[_REACH]
    return layout.attend(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling, reach, s_aux), None


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
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    AttentionInterface.register(ATTENTION_NAME, _attention)
