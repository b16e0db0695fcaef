"""Memory that is freed goes back to the system."""

import ctypes

import psutil
import pytest
import torch

from ponder.train.memory import give_back_memory


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_gaps_between_tensors_are_given_back() -> None:
    process, mebibyte = psutil.Process(), 2**20
    give_back_memory()
    before = process.memory_info().rss
    tensors = [torch.ones(mebibyte // 40) for _ in range(2_000)]  # 100 KiB each: below what is mapped by itself
    assert process.memory_info().rss - before > 150 * mebibyte
    kept = tensors[::100]
    del tensors
    give_back_memory()
    assert process.memory_info().rss - before < 60 * mebibyte
    assert len(kept) == 20
