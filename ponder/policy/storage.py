"""Weights that nothing trains, kept as what they are multiplied as: half the memory, and not one number of a result
changes, since every product would round them to the same first.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

__all__ = ["cast_once", "keep_for_products"]


def keep_for_products(model: Any, dtype: torch.dtype | None) -> None:
    """Freeze the model, and keep the weights of its linear modules and its output projection as `dtype`, which is that
    of its products; None changes nothing. All others stay float32: embeddings, norms, biases, which Mamba adds outside
    of a product, routers, a scorer's row, and experts that are one tensor, whose products autocast does not know."""
    model.requires_grad_(False)
    if dtype is None:
        return
    linear = {id(one.weight) for one in model.base_model.modules() if isinstance(one, torch.nn.Linear)}
    head = model.get_output_embeddings()
    tied = {id(p) for one in model.modules() if isinstance(one, torch.nn.Embedding) for p in one.parameters()}
    kept = (linear | (set() if head is None else {id(head.weight)})) - tied
    for parameter in model.parameters():
        if id(parameter) in kept:
            parameter.data = parameter.data.to(dtype)


@contextlib.contextmanager
def cast_once(model: torch.nn.Module) -> Iterator[None]:
    """Within it autocast casts frozen weights once, as it does trained ones, instead of in every product: it keeps what
    it cast of weights that take gradients only. For work under `no_grad`."""
    frozen = [p for p in model.parameters() if not p.requires_grad and p.dtype == torch.float32]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
