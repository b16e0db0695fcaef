"""Layers that keep only what goes into them: the backward pass computes the rest again, one layer at a time.

The second computation is the first one over again, on the same shapes and in the same dtypes, so gradients are the same
numbers. Bytes that a pass keeps grow with the layers by their inputs alone.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from ponder.allocator import keep_large_blocks
from ponder.policy.attention import body
from ponder.recipe.recompute import kept_bytes, recomputes, room_bytes
from ponder.recipe.shape import Shape, shape_of
from ponder.recipe.training import BatchLimits
from ponder.share import memory_bytes

__all__ = ["Recomputation"]


class Recomputation:
    """For one model that is trained, by `limits.recompute`: of a pass it is asked how many tokens it has."""

    def __init__(
        self, model: PreTrainedModel, limits: BatchLimits, device: torch.device, autocast_dtype: torch.dtype | None
    ) -> None:
        self._model, self._asked, self._bf16 = model, limits.recompute, autocast_dtype is not None
        self._per_token = _kept(model, self._bf16)
        # On a CPU ranks share one memory, on GPUs each has its own.
        memory = _memory(device) // (limits.ranks if device.type == "cpu" else 1)
        self._room = room_bytes(memory, sum(p.numel() for p in model.parameters()), limits.ranks)

    def pays(self, tokens: int) -> bool:
        """Whether a pass of so many tokens computes its activations again."""
        return recomputes(self._asked, self._per_token * tokens, self._room)

    @contextlib.contextmanager
    def around(self, tokens: int) -> Iterator[None]:
        """Within it a forward pass of so many tokens keeps what `pays` says. Where that is little, memory is short:
        until a pass that keeps all, large blocks of memory go back to the system when they are freed."""
        pays = torch.is_grad_enabled() and self.pays(tokens)
        if torch.is_grad_enabled():
            keep_large_blocks(not pays)
        if not pays:
            yield
            return
        layers = [layer for part in body(self._model).children() if isinstance(part, torch.nn.ModuleList)
                  for layer in part]  # fmt: skip
        for layer in layers:
            layer.forward = _recomputed(layer.forward)
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def again(*inputs: Any, **named: Any) -> Any:
        found = checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False, **named)
        torch.clear_autocast_cache()  # it would hold this layer's copies of weights until the end of the pass
        return found

    return again


def _kept(model: PreTrainedModel, bf16: bool) -> int:
    """Bytes that a token's backward pass needs; of models whose shape is not known what goes into and comes out of
    their linear modules."""
    shape = shape_of(model.config.to_dict(), "the model")
    if isinstance(shape, Shape):
        return kept_bytes(shape, 1, bf16=bf16)
    linear = (one for one in body(model).modules() if isinstance(one, torch.nn.Linear))
    return sum(one.in_features + one.out_features for one in linear) * (2 if bf16 else 4)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()
