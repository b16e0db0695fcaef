"""Advantages against hand numbers and numpy, and the properties all of them share."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.algorithm import ADVANTAGES

EPSILON = 1e-6
groups = st.lists(
    st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=1, max_size=9).map(np.array), min_size=1, max_size=6
)


def tensors(rewards):
    return [torch.tensor(group, dtype=torch.float64) for group in rewards]


@pytest.mark.parametrize(
    ("name", "rewards", "expected"),
    [
        # mean 0.25; squares 0.0625 * 3 + 0.5625 = 0.75; unbiased variance 0.25; std 0.5
        ("group_mean_std", [[1, 0, 0, 0]], [[1.5, -0.5, -0.5, -0.5]]),
        ("group_mean", [[1, 0, 0, 0]], [[0.75, -0.25, -0.25, -0.25]]),
        # others' means: 0, 1/3, 1/3, 1/3
        ("leave_one_out", [[1, 0, 0, 0]], [[1, -1 / 3, -1 / 3, -1 / 3]]),
        # centred: -1, 1, -2, 0, 2; squares add to 10; over 5 - 1 = 2.5
        ("batch_std", [[0, 2], [1, 3, 5]], [[-1 / 2.5**0.5, 1 / 2.5**0.5], [-2 / 2.5**0.5, 0, 2 / 2.5**0.5]]),
        ("group_mean_std", [[0, 2], [1, 3, 5]], [[-1 / 2**0.5, 1 / 2**0.5], [-1, 0, 1]]),
    ],
)
def test_hand_numbers(name, rewards, expected):
    got = ADVANTAGES[name](tensors(rewards), 0.0)
    for group, wanted in zip(got, expected, strict=True):
        assert group.tolist() == pytest.approx(wanted, abs=1e-12)


@settings(deadline=None)
@given(groups)
def test_against_numpy(rewards):
    centred = [group - group.mean() for group in rewards]
    flat = np.concatenate(centred)
    batch = flat.std(ddof=1) if len(flat) > 1 else 1.0
    wanted = {
        "group_mean": centred,
        "group_mean_std": [c / ((c.std(ddof=1) if len(c) > 1 else 1) + EPSILON) for c in centred],
        "leave_one_out": [
            np.array([r - np.delete(g, i).mean() if len(g) > 1 else 0.0 for i, r in enumerate(g)]) for g in rewards
        ],
        "batch_std": [c / (batch + EPSILON) for c in centred],
    }
    assert wanted.keys() == ADVANTAGES.keys()
    for name, function in ADVANTAGES.items():
        for got, expected in zip(function(tensors(rewards), EPSILON), wanted[name], strict=True):
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(groups, st.sampled_from(sorted(ADVANTAGES)))
def test_every_group_adds_up_to_zero(rewards, name):
    for advantages_G in ADVANTAGES[name](tensors(rewards), EPSILON):
        assert abs(float(advantages_G.sum())) < 1e-6


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
def test_a_table_of_rewards_is_taken_by_its_rows(name):
    rewards_PG = torch.tensor([[0.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    rows = ADVANTAGES[name](list(rewards_PG), EPSILON)
    assert torch.equal(torch.stack(ADVANTAGES[name](rewards_PG, EPSILON)), torch.stack(rows))


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
def test_equal_rewards_give_no_advantage(name):
    # 0.1 + 0.2 != 0.3 in binary: rounding must not become an advantage
    rewards = [torch.tensor([0.3, 0.1 + 0.2, 0.3], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)]
    for group in ADVANTAGES[name](rewards, EPSILON):
        assert group.abs().max() < 1e-9


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
def test_a_reward_that_is_not_a_number_is_refused(name):
    with pytest.raises(AssertionError, match="finite"):
        ADVANTAGES[name]([torch.tensor([0.0, float("nan")])], EPSILON)
