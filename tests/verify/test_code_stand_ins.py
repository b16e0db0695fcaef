"""The stand-in for numpy agrees with numpy, and that for pytest's `approx` with what it says of itself."""

from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.sandbox.stand_ins import STAND_INS

NUMBERS = st.sampled_from([0, 1, 1.0, 1.0000001, 2.5, -1, True, float("nan"), float("inf")])
VALUES = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, max_size=3),
    st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=1, max_size=2),
    st.tuples(NUMBERS, NUMBERS),
    st.sampled_from(["x", None]),
)


def outcome(function: Any, a: Any, b: Any) -> bool | str:
    try:
        return bool(function(a, b, rtol=1e-7, atol=1e-6))
    except (TypeError, ValueError):
        return "error"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=400, deadline=None)
@given(VALUES, VALUES)
def test_all_close(a: Any, b: Any) -> None:
    ours = outcome(STAND_INS["numpy"].allclose, a, b)
    if a in ("x", None) or b in ("x", None):
        assert ours == "error"  # numpy finds None near to an empty list
    elif numpy.shape(a) != numpy.shape(b):
        assert ours == "error"  # and every number, too
    else:
        assert ours == outcome(numpy.allclose, a, b)


@pytest.mark.parametrize(
    "expected",
    [0.3, 5, [0.1 + 0.2, 3], (0.5,), {"a": 0.3, "b": 2}, "text", float("inf")],
)
@pytest.mark.parametrize(
    "actual",
    [0.3, 0.30000001, 0.31, 5, 5.0, [0.3, 3], [0.3], (0.5,), {"a": 0.3}, {"a": 0.3, "b": 2.0}, "text", float("inf")],
)
def test_approx(actual: Any, expected: Any) -> None:
    assert (actual == STAND_INS["pytest"].approx(expected)) == (actual == pytest.approx(expected))
