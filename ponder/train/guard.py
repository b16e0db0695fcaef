"""Which gradients may change the weights: finite ones, of a norm not far above what is usual. No torch.

The norm and the loss of a step come in, a reason to skip it comes out. Norms of accepted steps make the running median.
"""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

from ponder.errors import LearningError

__all__ = ["GradientGuard"]

_WINDOW = 50
"""Accepted norms the median is taken over."""
_MIN_HISTORY = 10
"""No norm counts as an outlier before this many were accepted: the first steps of a run vary a lot."""


class GradientGuard:
    """Judges every step's gradient and counts what it refuses."""

    def __init__(self, outlier_factor: float, max_skipped_in_a_row: int) -> None:
        self._outlier_factor = outlier_factor
        self._max_in_a_row = max_skipped_in_a_row
        self._norms: deque[float] = deque(maxlen=_WINDOW)
        self.skipped = 0
        self._in_a_row = 0

    def judge(self, loss: float, norm: float) -> str | None:
        """Why this step must be skipped, or None."""
        reason = self._reason(loss, norm)
        if reason is None:
            self._norms.append(norm)
            self._in_a_row = 0
        else:
            self.skipped += 1
            self._in_a_row += 1
        return reason

    def check(self, reason: str, incident: str) -> None:
        """Raise LearningError when too many steps in a row were skipped."""
        if self._in_a_row >= self._max_in_a_row:
            raise LearningError(
                f"{self._in_a_row} updates in a row were skipped, the last because {reason}. The weights are those of "
                f"the last good update. Expected at most {self._max_in_a_row - 1} in a row "
                f"(`optimizer.max_skipped_in_a_row`). Lower `optimizer.lr`, or look at the batch saved in {incident}."
            )

    def state(self) -> dict[str, Any]:
        """Plain JSON values from which `restore` goes on exactly."""
        return {"norms": list(self._norms), "skipped": self.skipped, "in_a_row": self._in_a_row}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()`."""
        self._norms = deque(state["norms"], maxlen=_WINDOW)
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]

    def _reason(self, loss: float, norm: float) -> str | None:
        if not math.isfinite(loss):
            return f"the loss was {loss}"
        if not math.isfinite(norm):
            return f"the gradient norm was {norm}"
        if len(self._norms) >= _MIN_HISTORY:
            median = statistics.median(self._norms)
            if norm > self._outlier_factor * median > 0:
                return (
                    f"the gradient norm {norm:.4g} was {norm / median:.1f} times the median {median:.4g} of recent "
                    f"updates (`optimizer.outlier_factor` allows {self._outlier_factor:g})"
                )
        return None
