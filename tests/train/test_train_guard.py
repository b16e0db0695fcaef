"""The guard's decisions."""

import math

import pytest

from ponder.errors import LearningError
from ponder.train.guard import GradientGuard


def test_decisions() -> None:
    guard = GradientGuard(outlier_factor=5.0, max_skipped_in_a_row=3)
    assert guard.judge(1.0, math.nan) == "the gradient norm was nan"
    assert guard.judge(-math.inf, 1.0) == "the loss was -inf"
    for norm in (100.0, *[1.0] * 8):
        assert guard.judge(0.0, norm) is None
    assert guard.judge(0.0, 50.0) is None  # ninth of ten: still no judgement
    assert guard.judge(0.0, 5.1) is not None
    assert guard.judge(0.0, 4.9) is None
    assert guard.skipped == 3


def test_the_median_moves_with_accepted_norms_only() -> None:
    guard = GradientGuard(outlier_factor=5.0, max_skipped_in_a_row=1000)
    for _ in range(60):
        guard.judge(0.0, 1.0)
    for _ in range(100):
        assert guard.judge(0.0, 10.0) is not None
    for _ in range(26):
        assert guard.judge(0.0, 4.0) is None
    assert guard.judge(0.0, 10.0) is None


def test_zero_gradients_never_make_outliers() -> None:
    guard = GradientGuard(outlier_factor=5.0, max_skipped_in_a_row=3)
    for _ in range(20):
        guard.judge(0.0, 0.0)
    assert guard.judge(0.0, 0.3) is None


def test_state_goes_on_exactly() -> None:
    guard, twin = (GradientGuard(outlier_factor=5.0, max_skipped_in_a_row=2) for _ in range(2))
    for i in range(70):
        guard.judge(0.0, 1 + i / 7)
    guard.judge(math.nan, 1.0)
    twin.restore(guard.state())
    assert twin.state() == guard.state()
    twin.check("x", "y")
    twin.judge(math.nan, 1.0)
    with pytest.raises(LearningError, match="2 updates in a row"):
        twin.check("the loss was nan", "incidents/update-1")
