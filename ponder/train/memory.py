"""Telling "out of memory" from every other error, on CUDA and on CPU."""

import torch

__all__ = ["is_out_of_memory"]

_CPU_ALLOCATOR = "can't allocate memory"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that a smaller micro-batch may work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)
