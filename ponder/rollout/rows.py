"""What each sample asks for, and the same of the samples that have rows, as columns.

Shapes: R rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ponder.rollout.drawing import PLAIN, Drawing
from ponder.rollout.guide import Bias, Guide

__all__ = ["Rows", "SampleSettings"]

_SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """`limit` is the most tokens it may have; its random numbers are those from its `first` place on. No step goes past
    its `pause`-th token, so that there something can be said of what comes next. `stop_ids` None are the policy's;
    `drawing` counts for nothing where the lane has a distribution of its own, as do `bias`, `guide` and `top`, which
    says how many of the most likely tokens are told beside each one. Private samples share no guesses with others."""

    seed: int
    limit: int
    first: int = 0
    drawing: Drawing = PLAIN
    stop_ids: frozenset[int] | None = None
    private: bool = False
    bias: Bias = ()
    guide: Guide | None = None
    pause: int | None = None
    top: int = 0


class Rows:
    """Columns for the rows of a schedule, in its order."""

    def __init__(self) -> None:
        self.settings: list[SampleSettings] = []
        self.with_stop_ids: list[int] = []
        self.with_bias: list[int] = []
        self.guided: list[int] = []
        self.with_top: list[int] = []
        self.private_R = np.zeros(0, np.bool_)
        self.seed_R = np.zeros(0, np.uint64)
        self.first_R = np.zeros(0, np.int64)
        self.limit_R = np.zeros(0, np.int64)
        self.pause_R = np.zeros(0, np.int64)

    def seat(self, samples: Sequence[int], settings: Mapping[int, SampleSettings]) -> None:
        """Rows for these samples, behind the others."""
        new = [settings[sample] for sample in samples]
        self._set([*self.settings, *new])
        self.seed_R = np.append(self.seed_R, np.array([one.seed & _SEED_MASK for one in new], np.uint64))
        self.first_R = np.append(self.first_R, np.array([one.first for one in new], np.int64))
        self.limit_R = np.append(self.limit_R, np.array([one.limit for one in new], np.int64))
        pauses = [one.limit if one.pause is None else min(one.pause, one.limit) for one in new]
        self.pause_R = np.append(self.pause_R, np.array(pauses, np.int64))

    def keep(self, kept_R: npt.NDArray[np.int64]) -> None:
        """Only these rows stay."""
        self._set([self.settings[row] for row in kept_R.tolist()])
        self.seed_R, self.first_R = self.seed_R[kept_R], self.first_R[kept_R]
        self.limit_R, self.pause_R = self.limit_R[kept_R], self.pause_R[kept_R]

    def _set(self, settings: list[SampleSettings]) -> None:
        self.settings = settings
        self.with_stop_ids = [row for row, one in enumerate(settings) if one.stop_ids is not None]
        self.with_bias = [row for row, one in enumerate(settings) if one.bias]
        self.guided = [row for row, one in enumerate(settings) if one.guide is not None]
        self.with_top = [row for row, one in enumerate(settings) if one.top]
        self.private_R = np.array([one.private for one in settings], np.bool_)
