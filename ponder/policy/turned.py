"""Products of few rows with large matrices, turned round where that is faster.

A step of sampling multiplies some dozen rows with every matrix of the model. In float32 on AMD's processors, MKL, which
torch brings, takes up to three times as long for rows x matrix as for matrix x rows: the same but for rounding.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ponder.policy.policy import Policy

__all__ = ["few_rows", "turned"]

_MOST_ROWS = 128
"""Above it the products are alike; a single row is no matrix."""
_LEAST_SIZE = 1 << 19
"""Of a matrix: below, the work goes into starting it."""


def few_rows(policy: Policy) -> AbstractContextManager[object]:
    """A context for passes of few rows, without gradients: its products are those that this machine does best."""
    if policy.device.type != "cpu" or policy.autocast_dtype is not None or not _slow_at_rows():
        return nullcontext()
    weights = (one for one in policy.model.parameters() if one.dim() == 2 and one.dtype == torch.float32)
    return _Turning() if any(one.numel() >= _LEAST_SIZE for one in weights) else nullcontext()


def turned(rows: torch.Tensor, matrix: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """As `torch.nn.functional.linear`, computed as matrix x rows."""
    columns = rows.reshape(-1, rows.shape[-1]).t()
    product = matrix @ columns if bias is None else torch.addmm(bias[:, None], matrix, columns)
    return product.t().contiguous().view(*rows.shape[:-1], len(matrix))


class _Turning(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.linear and not kwargs and _pays(*args[:2]):
            return turned(*args)
        return func(*args, **(kwargs or {}))


def _pays(rows: torch.Tensor, matrix: torch.Tensor) -> bool:
    return (
        matrix.numel() >= _LEAST_SIZE
        and rows.dtype == matrix.dtype == torch.float32
        and 1 < rows.numel() // rows.shape[-1] <= _MOST_ROWS
    )


@cache
def _slow_at_rows() -> bool:
    """Whether this is one of AMD's, with MKL. Told by its name and not by measuring, which would not be the same every
    time."""
    try:
        words = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return False
    return "AuthenticAMD" in words and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
