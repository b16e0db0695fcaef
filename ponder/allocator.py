"""The C library's allocator, settled for training: memory that a step frees is there for the next one.

glibc maps every large block anew and gives it back when it is freed; the kernel then has to find and clear each of its
pages at first touch, in every pass of every step. A real model's update on a CPU spends a sixth of its time on that.
Blocks that stay leave gaps, though, into which none of the very large ones fits again (a vocabulary's logits, the
embeddings and their gradient): those few go back all the same.
"""

import ctypes
import os
import platform
from collections.abc import Mapping

__all__ = ["give_back_memory", "keep_freed_memory", "keep_large_blocks"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 2**31 - 1
"""What fits the C int of `mallopt`: the free end of the heap is kept up to 2 GiB."""
_VERY_LARGE = 64 * 2**20
"""Blocks that are mapped always. Two updates of a model of half a billion parameters and 152,000 words, in passes of
1,024 tokens on two cores: 11.9 GiB at the most and 325 s, with all blocks in the heap 13.1 GiB and 322 s. With those of
16 MiB mapped, too, the first took 184 s in place of 174, for nearly the same memory."""
_LARGE = 16 * 2**20
"""Blocks that are mapped where memory is short: with 16,384 tokens in 6 layers of width 512, computed again, a process
has what its tensors take at their most, and a fifth more with all blocks in the heap, for the same time."""
_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""torch reads it once, at its first allocation: large tensors are then put on huge pages where the kernel allows it."""
_settled: list[bool] = []
"""Not empty in a process whose allocator is settled."""
_TUNED = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let glibc keep freed blocks, but the very large ones, and torch use huge pages, in this process and what it
    forks; whether it was done.

    To be called before torch is imported. Nothing is done where the C library is another, or where the environment
    tunes or replaces the allocator already. `give_back_memory` still gives back what is free.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in environment for name in _TUNED):
        return False
    os.environ.setdefault(_HUGE_PAGES, "1")
    mallopt = ctypes.CDLL(None).mallopt
    if all([mallopt(_M_MMAP_THRESHOLD, _VERY_LARGE), mallopt(_M_TRIM_THRESHOLD, _LARGEST)]):
        _settled.append(True)
    return bool(_settled)


def keep_large_blocks(keep: bool) -> None:
    """Whether large blocks, too, stay for the next ones from now on, or go back to the system when they are freed, so
    that no gaps are left between them. Nothing is done where `keep_freed_memory` did nothing."""
    if _settled:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _VERY_LARGE if keep else _LARGE)


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library is glibc: elsewhere nothing happens.

    Tensors of ever new sizes leave gaps that glibc keeps; a run of hundreds of steps grows by them. It takes about
    40 ms for a step of 256 completions.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
