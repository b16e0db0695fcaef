"""Estimators by value: brute force, hand numbers, known coverage."""

from itertools import combinations, pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.compute.vote import cluster_answers
from ponder.evaluation.estimate import (
    bootstrap_interval,
    consensus,
    paired_difference,
    pass_at_k,
)


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-12)


@given(n=st.integers(1, 64), data=st.data())
def test_pass_at_1_is_the_mean_and_pass_at_k_rises(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    values = [pass_at_k(n, c, k) for k in range(1, n + 1)]
    assert values[0] == pytest.approx(c / n)
    assert all(later >= earlier for earlier, later in pairwise(values))
    assert values[-1] == (1.0 if c else 0.0)


def test_bootstrap_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(1).random(400)
    low, high = bootstrap_interval(values.tolist(), seed=3)
    half = 1.96 * values.std() / sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.003)
    assert high == pytest.approx(values.mean() + half, abs=0.003)
    assert bootstrap_interval(values.tolist(), seed=3) == (low, high)
    assert bootstrap_interval(values.tolist(), seed=4) != (low, high)


def test_bootstrap_covers_the_truth_about_19_times_in_20() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        # Samples within a problem are alike: half the problems are always solved, half never.
        solved = (random.random(60) < 0.5).astype(float).tolist()
        low, high = bootstrap_interval(solved, seed=seed, resamples=300)
        hits += low <= 0.5 <= high
    assert 180 <= hits <= 198


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 0.0, 0.1157), (1.0, 0.8843, 1.0)])
def test_no_certainty_from_thirty_problems(value: float, low: float, high: float) -> None:
    # Clopper-Pearson for 0 of 30 is [0, 0.1157].
    assert bootstrap_interval([value] * 30) == pytest.approx((low, high), abs=1e-4)


def test_paired_difference_is_narrower_than_the_single_intervals() -> None:
    random = np.random.default_rng(5)
    first = random.random(200)
    second = np.clip(first + 0.05 + 0.02 * random.standard_normal(200), 0, 1)
    difference = paired_difference(first.tolist(), second.tolist(), seed=1)
    assert difference.mean == pytest.approx(float((second - first).mean()))
    low, high = difference.interval
    assert 0 < low < difference.mean < high
    single_low, single_high = bootstrap_interval(first.tolist())
    assert high - low < (single_high - single_low) / 5


@pytest.mark.parametrize(("first", "second"), [([0.1, 0.2, 0.3], [0.1, 0.2]), ([0.1, 0.2, 0.3], [0.1]), ([], [])])
def test_paired_difference_of_unequal_lists_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(AssertionError, match="problems against"):
        paired_difference(first, second)


def test_one_problem_says_nothing_about_others() -> None:
    assert bootstrap_interval([0.4]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("difference", "problems", "low", "high"),
    [
        (1.0, 1, -1.0, 1.0),  # one problem says nothing
        (0.0, 1, -1.0, 1.0),
        (0.0, 8, -0.3694, 0.3694),  # 1 - 0.025^(1/8) = 0.3694
        (1.0, 8, 0.2612, 1.0),
        (-1.0, 8, -1.0, -0.2612),
        (0.5, 8, -0.0541, 0.6847),  # 0.5 - 1.5 reach to 0.5 + 0.5 reach
        (0.0, 30, -0.1157, 0.1157),
    ],
)
def test_equal_differences_are_not_certain(difference: float, problems: int, low: float, high: float) -> None:
    first = [max(0.0, -difference)] * problems
    found = paired_difference(first, [one + difference for one in first])
    assert found.mean == difference and found.interval == pytest.approx((low, high), abs=1e-4)


def test_the_bound_of_equal_differences_leaves_out_the_truth_once_in_forty() -> None:
    """The worst case: a share of 0.3694 of all problems is lost, and eight that were drawn show nothing of it."""
    random = np.random.default_rng(0)
    lost = [(random.random(8) < 0.3694).any() for _ in range(4000)]
    assert 1 - np.mean(lost) == pytest.approx(0.025, abs=0.007)


def test_equal_differences_up_to_rounding_and_of_what_has_no_bounds() -> None:
    rounded = paired_difference([0.1, 0.2, 0.7], [0.4, 0.5, 1.0])
    assert rounded.interval == pytest.approx((0.3 - 1.3 * 0.7076, 0.3 + 0.7 * 0.7076), abs=1e-3)
    assert paired_difference([50.0] * 9, [80.0] * 9, accuracies=False).interval == (30.0, 30.0)


def test_clusters_ask_only_about_distinct_wrong_answers() -> None:
    asked: list[tuple[str, str]] = []

    def same(a: str, b: str) -> bool:
        asked.append((a, b))
        return a.lower() == b.lower()

    answers = ["1/2", "0.5", None, "x", "X", "x", "y", "1/2"]
    right = [True, True, False, False, False, False, False, True]
    assert cluster_answers(answers, right, same) == [0, 0, None, 1, 1, 1, 2, 0]
    assert asked == [("X", "x"), ("y", "x")]


@pytest.mark.parametrize(
    ("clusters", "right", "value"),
    [
        ([0, 0, 1], [True, True, False], 1.0),
        ([0, 1, 1], [True, False, False], 0.0),
        ([0, 1], [True, False], 0.5),  # a tie, half of it right
        ([0, 1, 2], [False, True, False], 1 / 3),
        ([None, None, 0], [False, False, True], 1.0),  # who gives no answer does not vote
        ([None, None], [False, False], 0.0),
    ],
)
def test_consensus_by_hand(clusters: list[int | None], right: list[bool], value: float) -> None:
    assert consensus(clusters, right, len(clusters)) == pytest.approx(value)
    assert consensus(clusters[::-1], right[::-1], len(clusters)) == pytest.approx(value)


def test_consensus_over_subsets_is_near_the_mean_over_all_of_them() -> None:
    clusters: list[int | None] = [0, 0, 0, 1, 1, 2, None]
    right = [True, True, True, False, False, False, False]
    subsets = list(combinations(range(7), 3))
    exact = sum(consensus([clusters[i] for i in s], [right[i] for i in s], 3) for s in subsets) / len(subsets)
    means = [consensus(clusters, right, 3, seed=seed) for seed in range(40)]
    assert np.mean(means) == pytest.approx(exact, abs=0.02)
    assert consensus(clusters, right, 3, seed=7) == means[7]
