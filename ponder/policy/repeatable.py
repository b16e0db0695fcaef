"""Gradients that are the same numbers whenever they are computed: what a resumed run rests on.

On a CPU they are. On CUDA many operations add up with atomics, in whatever order threads come: the backward pass of
`index_select` and of attention, an `index_add`. torch has another form of most, which it takes when told to.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

__all__ = ["CUBLAS_WORKSPACE", "Repeatable"]

Result = TypeVar("Result")

CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
"""What cuBLAS reads when it starts: workspaces of one size, so that its products do not depend on what else runs."""
_NO_FORM = "does not have a deterministic implementation"


class Repeatable:
    """For work on one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._strict = True

    def run(self, attempt: Callable[[], Result]) -> Result:
        """What `attempt` returns, computed by repeatable forms alone. Where an operation has none, it is tried once
        more without asking for them, which is said: such a model does not resume bit for bit."""
        if self._device.type != "cuda":
            return attempt()
        if self._strict:
            try:
                with _asked(warn_only=False):
                    return attempt()
            except RuntimeError as error:
                if _NO_FORM not in str(error):
                    raise
                reason = str(error).partition("\n")[0].partition(", but you set")[0]
            self._strict = False
            warnings.warn(
                f"Gradients of this model are not the same numbers every time on this device ({reason}): a run that is "
                f"resumed goes on rightly, but not bit for bit as if it had not been stopped.",
                stacklevel=3,
            )
        with _asked(warn_only=True):
            return attempt()


@contextlib.contextmanager
def _asked(*, warn_only: bool) -> Iterator[None]:
    # Flash attention goes on adding with atomics where torch is told to warn only.
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    settings.fill_uninitialized_memory = False  # to find faults; it costs a pass over every new tensor
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        settings.fill_uninitialized_memory = filled
