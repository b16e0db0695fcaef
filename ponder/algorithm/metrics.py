"""Sums that become metrics: what one micro-batch measured, added over all of them, turned into numbers at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Sum", "add_metrics", "metric_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A mean in the making. Example: three ratios 0.9, 1.0, 1.4 are Sum(total=3.3, count=3, peak=1.4).

    Addition is exact bookkeeping, so the mean does not depend on how tokens were spread over micro-batches. `peak` is
    the greatest single value where that is worth watching, else None.
    """

    total: float
    count: float
    peak: float | None = None

    def __add__(self, other: Sum) -> Sum:
        peaks = [s.peak for s in (self, other) if s.peak is not None]
        return Sum(total=self.total + other.total, count=self.count + other.count, peak=max(peaks, default=None))

    @property
    def value(self) -> float:
        """Total over count; 0 when nothing was counted."""
        return self.total / self.count if self.count else 0.0


def add_metrics(first: Mapping[str, Sum], second: Mapping[str, Sum]) -> dict[str, Sum]:
    """The sums of both by name; a name that only one of them has is kept."""
    return {**first, **second, **{name: first[name] + second[name] for name in first.keys() & second.keys()}}


def metric_values(metrics: Mapping[str, Sum]) -> dict[str, float]:
    """Plain numbers by name: the mean, and under `<name>_max` the peak of those that have one."""
    means = {name: entry.value for name, entry in metrics.items()}
    peaks = {f"{name}_max": entry.peak for name, entry in metrics.items() if entry.peak is not None}
    return means | peaks
