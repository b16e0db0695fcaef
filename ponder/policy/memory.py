"""When memory runs out: telling it from every other error, doing the same work again in smaller passes. Trainers,
scorers and engines share it.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from psutil import Process

from ponder.errors import ModelError

__all__ = ["TokenBudget", "is_out_of_memory", "memory_used", "retried"]

Result = TypeVar("Result")

_SIGNS = re.compile(
    r"can't allocate memory"  # torch on a CPU
    r"|out of memory"  # CUDA, HIP, MPS, XPU, where torch does not give it a type of its own
    r"|bad_alloc|bad allocation"  # C++
    r"|_ALLOC_FAILED|_ALLOCATION_FAILED"  # cuBLAS, cuDNN, cuSOLVER, cuSPARSE, cuFFT
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY"
    r"|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_NOT_INITIALIZED.*[cC]reate"  # their handles take memory of the device
    r"|NCCL.*(cuda memory|Cuda failure 2\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Libraries below torch allocate for themselves and say in their own words that there is nothing left."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error means that less at a time may work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and _SIGNS.search(str(error)) is not None


def retried(attempt: Callable[[], Result], lessen: Callable[[str], None]) -> Result:
    """What `attempt` returns, tried again as long as memory runs out. Before each further try `lessen` is told the
    reason; it makes the next one smaller, or raises what there is to say when it cannot be."""
    while True:
        try:
            return attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
        # Here the failed attempt's tensors are gone: the exception that held on to them has been dropped.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # libraries below torch cannot use what its cache keeps
        lessen(reason)


class TokenBudget:
    """How many tokens go through a model together; halved as often as memory runs out, where one process can decide
    that by itself: `halves`. `asked` is what they were before they were halved for all processes."""

    def __init__(self, tokens: int, *, halves: bool = True, asked: int | None = None) -> None:
        self._asked = asked or tokens
        self._halves = halves
        self.tokens = tokens
        self.halvings = (self._asked // tokens).bit_length() - 1

    def state(self) -> dict[str, int]:
        """What a resumed run goes on from."""
        return {"asked": self._asked, "tokens": self.tokens, "halvings": self.halvings}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go on with what fitted before, unless another budget is asked for by now."""
        if state["asked"] == self._asked:
            self.tokens = min(self.tokens, state["tokens"])
        self.halvings = max(self.halvings, state["halvings"])

    def run(self, attempt: Callable[[], Result], alone: Callable[[], int | None], advice: str) -> Result:
        """What `attempt` returns, which must read `tokens` anew at every try. `alone` gives the tokens of the longest
        sequence where every pass holds a single one already, else None; there a ModelError ends with `advice`. Where
        one process does not decide, what means that less may work is raised as it is."""

        def lessen(reason: str) -> None:
            if (longest := alone()) is not None:
                raise ModelError(
                    f"Memory ran out although every pass held a single sequence, the longest of {longest} tokens "
                    f"({reason}). {advice}"
                )
            if not self._halves:
                raise MemoryError(reason)
            self.tokens = max(1, self.tokens // 2)
            self.halvings += 1
            warnings.warn(
                f"Memory ran out ({reason}); the same is computed again with at most {self.tokens} tokens in a pass, "
                f"which does not change what comes out.",
                stacklevel=5,
            )

        return retried(attempt, lessen)


def memory_used(device: torch.device) -> dict[str, float]:
    """Memory as metrics: that of this process now, and on an accelerator the peak since the last call."""
    used = {"memory/process_bytes": float(Process().memory_info().rss)}
    if device.type == "cuda":
        used["memory/device_bytes"] = float(torch.cuda.max_memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)
    return used
