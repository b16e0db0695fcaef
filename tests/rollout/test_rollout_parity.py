"""The check of engine against trainer."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import ParityError
from ponder.rollout import check_parity, spread

IDS = [[5, 6, 7], [8, 9]]
ENGINE = [[-1.0, -2.0, -3.0], [-0.5, -0.25]]


def test_agreement_is_measured() -> None:
    parity = check_parity(IDS, ENGINE, [[-1.0, -2.01, -3.0], [-0.5, -0.28]], tolerance=0.02)
    assert (parity.mean, parity.worst, parity.tokens) == (pytest.approx(0.008), pytest.approx(0.03), 5)


@pytest.mark.parametrize(
    ("lengths", "count", "expected"),
    [
        ([], 4, []),
        ([9, 3, 5], 4, [0, 1, 2]),
        ([7] * 5, 2, [0, 4]),
        ([100, 1, 50, 2, 75, 3, 25], 3, [0, 1, 6]),  # the longest, the shortest, the middle one
        (range(1000), 5, [0, 250, 500, 749, 999]),
    ],
)
def test_what_is_compared_spreads_from_the_shortest_to_the_longest(
    lengths: Sequence[int], count: int, expected: list[int]
) -> None:
    assert spread(lengths, count) == expected


@settings(max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=65, max_size=300))
def test_no_completion_is_compared_twice(lengths: list[int]) -> None:
    chosen = spread(lengths, 64)
    assert len(set(chosen)) == 64
    found = [lengths[i] for i in chosen]
    assert (min(found), max(found)) == (min(lengths), max(lengths))


@pytest.mark.parametrize("wrong", [-0.9, float("nan"), float("inf")])
def test_disagreement_names_the_worst_token(wrong: float) -> None:
    trainer = [[-1.0, -2.1, -3.0], [-0.5, wrong]]
    with pytest.raises(ParityError) as caught:
        check_parity(IDS, ENGINE, trainer, tolerance=0.02)
    text = str(caught.value)
    assert "token id 9 of completion 1" in text and "-0.2500 sampled" in text and f"{wrong:.4f} recomputed" in text
    assert "0.02" in text and "precision: fp32" in text
