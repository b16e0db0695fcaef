"""Token weights by hand, and what each denominator promises for any lengths."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.algorithm import AGGREGATES

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=40).map(torch.tensor)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sequence_mean", [1 / 6, 1 / 12, 1 / 3]),
        ("token_mean", [1 / 7] * 3),
        ("constant", [1 / 30] * 3),
        ("sequence_sum", [1 / 3] * 3),
    ],
)
def test_hand_numbers(name, expected):
    weights_S = AGGREGATES[name](torch.tensor([2, 4, 1]), 10)
    assert weights_S.dtype == torch.float32
    assert weights_S.tolist() == pytest.approx(expected)


@settings(deadline=None)
@given(lengths)
def test_what_a_loss_of_one_per_token_comes_to(lengths_S):
    ones = {name: float((weights(lengths_S, 300) * lengths_S).sum()) for name, weights in AGGREGATES.items()}
    mean = float(lengths_S.double().mean())
    assert ones["sequence_mean"] == pytest.approx(1, rel=1e-5)
    assert ones["token_mean"] == pytest.approx(1, rel=1e-5)
    assert ones["constant"] == pytest.approx(mean / 300, rel=1e-5)
    assert ones["sequence_sum"] == pytest.approx(mean, rel=1e-5)


@settings(deadline=None)
@given(lengths)
def test_every_output_counts_alike_or_every_token_does(lengths_S):
    per_output_S = AGGREGATES["sequence_mean"](lengths_S, 300) * lengths_S
    torch.testing.assert_close(per_output_S, torch.full_like(per_output_S, 1 / len(lengths_S)))
    for name in ("token_mean", "constant", "sequence_sum"):
        assert len(set(AGGREGATES[name](lengths_S, 300).tolist())) == 1


@pytest.mark.parametrize("name", sorted(AGGREGATES))
@pytest.mark.parametrize("lengths_S", [torch.tensor([3, 0]), torch.tensor([], dtype=torch.int64)])
def test_empty_sequences_are_refused(name, lengths_S):
    with pytest.raises(AssertionError, match="at least one token"):
        AGGREGATES[name](lengths_S, 10)
