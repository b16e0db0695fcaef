"""When memory runs out the same work is done in smaller pieces; what is freed goes back to the system."""

import ctypes

import psutil
import pytest
import torch

from ponder.allocator import give_back_memory
from ponder.errors import ModelError
from ponder.policy.memory import TokenBudget, is_out_of_memory, retried

OURS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other call"),
    RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 1.10 GB)"),
    RuntimeError("std::bad_alloc"),
]
OTHERS = [
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasGemmEx(...)`"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
    ValueError("out of memory"),
]


@pytest.mark.parametrize("error", [*OURS, *OTHERS], ids=lambda error: f"{type(error).__name__}-{str(error)[:60]}")
def test_out_of_memory_in_the_words_of_every_library(error: BaseException) -> None:
    assert is_out_of_memory(error) == (error in OURS)


def test_work_is_done_again_until_it_fits() -> None:
    sizes: list[int] = []
    budget = TokenBudget(100)

    def attempt() -> str:
        sizes.append(budget.tokens)
        if budget.tokens > 20:
            raise OURS[3]
        return "done"

    with pytest.warns(UserWarning, match=r"CUBLAS_STATUS_ALLOC_FAILED.*at most 12 tokens"):
        assert budget.run(attempt, lambda: None, "") == "done"
    assert sizes == [100, 50, 25, 12] and budget.halvings == 3


def test_what_cannot_be_cut_is_an_error_with_advice() -> None:
    def attempt() -> None:
        raise MemoryError

    with pytest.raises(ModelError, match=r"single sequence, the longest of 7 tokens \(MemoryError\). Do less."):
        TokenBudget(100).run(attempt, lambda: 7, "Do less.")


def test_what_others_halve_is_raised_unless_it_cannot_be_cut() -> None:
    budget = TokenBudget(100, halves=False)

    def attempt() -> None:
        raise OURS[3]

    with pytest.raises(MemoryError, match="CUBLAS_STATUS_ALLOC_FAILED"):
        budget.run(attempt, lambda: None, "")
    with pytest.raises(ModelError, match="the longest of 7 tokens"):
        budget.run(attempt, lambda: 7, "")
    assert budget.tokens == 100


def test_a_budget_halved_for_all_is_taken_up_by_who_asks_for_the_same() -> None:
    halved = TokenBudget(25, halves=False, asked=100)
    assert halved.state() == {"asked": 100, "tokens": 25, "halvings": 2}
    resumed = TokenBudget(100, halves=False)
    resumed.restore(halved.state())
    assert (resumed.tokens, resumed.halvings) == (25, 2)
    halved.restore({"asked": 100, "tokens": 50, "halvings": 1})  # of a checkpoint before
    assert (halved.tokens, halved.halvings) == (25, 2)
    other = TokenBudget(64)
    other.restore(halved.state())
    assert other.tokens == 64


@pytest.mark.parametrize("error", OTHERS, ids=lambda error: str(error)[:60])
def test_any_other_error_passes(error: Exception) -> None:
    def attempt() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        retried(attempt, lambda reason: pytest.fail(reason))
    assert caught.value is error


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
