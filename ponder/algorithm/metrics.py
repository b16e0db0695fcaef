"""Sums that become metrics: what one micro-batch measured, added over all of them, turned into numbers at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Sum", "add_metrics", "metric_values"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A mean, or a plain total, in the making. Example: ratios 0.9, 1.0, 1.4 are Sum(total=3.3, count=3, peak=1.4).

    Addition is bookkeeping, so the result does not depend on how tokens were spread over micro-batches. A `count` of
    None makes it a total: a loss whose parts add up, or a number of events. `peak` is the greatest single value where
    that is worth watching.
    """

    total: float
    count: float | None = None
    peak: float | None = None

    def __add__(self, other: Sum) -> Sum:
        if (self.count is None) != (other.count is None):
            raise AssertionError(f"a total cannot be added to a mean: {self} + {other}")
        count = None if self.count is None or other.count is None else self.count + other.count
        peaks = [part.peak for part in (self, other) if part.peak is not None]
        return Sum(total=self.total + other.total, count=count, peak=max(peaks, default=None))

    @property
    def value(self) -> float:
        """The mean (0 of nothing), or the total of a sum without count."""
        if self.count is None:
            return self.total
        return self.total / self.count if self.count else 0.0


def add_metrics(first: Mapping[str, Sum], second: Mapping[str, Sum]) -> dict[str, Sum]:
    """The sums of both by name; a name that only one of them has is kept."""
    return {**first, **second, **{name: first[name] + second[name] for name in first.keys() & second.keys()}}


def metric_values(metrics: Mapping[str, Sum]) -> dict[str, float]:
    """Plain numbers by name: the mean or total, and under `<name>_max` the peak of those that have one."""
    means = {name: entry.value for name, entry in metrics.items()}
    peaks = {f"{name}_max": entry.peak for name, entry in metrics.items() if entry.peak is not None}
    return means | peaks
