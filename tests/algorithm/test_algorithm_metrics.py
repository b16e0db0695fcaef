"""Sums add up to the same numbers however the tokens were split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.algorithm import Sum, add_metrics, metric_values


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=5), min_size=1, max_size=6))
def test_a_mean_and_its_peak_do_not_depend_on_the_split(parts):
    total = {}
    for part in parts:
        total = add_metrics(
            total, {"x": Sum(total=sum(part), count=len(part), peak=max(part)), "events": Sum(total=1.0)}
        )
    flat = [value for part in parts for value in part]
    assert metric_values(total) == pytest.approx(
        {"x": sum(flat) / len(flat), "x_max": max(flat), "events": len(parts)}, abs=1e-9
    )


def test_names_of_one_side_are_kept():
    merged = add_metrics({"a": Sum(total=1.0)}, {"b": Sum(total=4.0, count=2)})
    assert metric_values(merged) == {"a": 1.0, "b": 2.0}


def test_the_mean_of_nothing_is_zero():
    assert Sum(total=0.0, count=0).value == 0.0


def test_totals_and_means_do_not_mix():
    with pytest.raises(AssertionError, match="total"):
        Sum(total=1.0) + Sum(total=1.0, count=1)
