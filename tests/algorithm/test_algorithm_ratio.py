"""Surrogates: hand tables, numpy re-derivations, and gradients by finite differences."""

import math

import numpy as np
import pytest
import torch

from ponder.algorithm import RATIOS, TokenTerms
from ponder.algorithm.ratio import MAX_LOG_RATIO

SEQUENCE = [0, 0, 0, 1, 1, 2]


def make_terms(logprobs, behaviour, advantages, sequence):
    logprobs_N = torch.tensor(logprobs, dtype=torch.float64, requires_grad=True)
    return TokenTerms(
        logprobs_N=logprobs_N,
        behaviour_N=torch.tensor(behaviour, dtype=torch.float64),
        reference_N=None,
        entropy_N=torch.zeros_like(logprobs_N),
        advantages_N=torch.tensor(advantages, dtype=torch.float64),
        sequence_N=torch.tensor(sequence),
        weights_N=torch.ones_like(logprobs_N),
    )


def random_values(seed=0):
    random = np.random.default_rng(seed)
    behaviour = -random.exponential(2.0, len(SEQUENCE))
    logprobs = behaviour + random.normal(0, 0.3, len(SEQUENCE))
    return logprobs, behaviour, random.normal(0, 1, 3)[SEQUENCE]


# ratio, advantage -> value, d value / d ratio, clipped low, clipped high; bounds 0.8 and 1.28
TOKEN_CASES = [
    (1.0, 2.0, 2.0, 2.0, False, False),
    (1.2, 1.0, 1.2, 1.0, False, False),
    (1.5, 1.0, 1.28, 0.0, False, True),  # gain beyond the upper bound is not paid
    (1.5, -1.0, -1.5, -1.0, False, False),  # loss beyond the upper bound is
    (0.5, 1.0, 0.5, 1.0, False, False),
    (0.5, -1.0, -0.8, 0.0, True, False),
    (0.5, 0.0, 0.0, 0.0, False, False),
]


@pytest.mark.parametrize(("ratio", "advantage", "value", "slope", "low", "high"), TOKEN_CASES)
def test_token_clip_table(ratio, advantage, value, slope, low, high):
    terms = make_terms([math.log(ratio) - 1.0], [-1.0], [advantage], [0])
    paid = RATIOS["token"](terms, 0.2, 0.28)
    (gradient,) = torch.autograd.grad(paid.value_N.sum(), terms.logprobs_N)
    assert paid.value_N.item() == pytest.approx(value)
    assert gradient.item() == pytest.approx(slope * ratio)  # d ratio / d logprob = ratio
    assert (paid.low_N.item(), paid.high_N.item()) == (low, high)
    assert paid.ratio_N.item() == pytest.approx(ratio)


def numpy_sequence(logprobs, behaviour, advantages, *, mean, low, high):
    """Sum over sequences of the clipped surrogate of the whole sequence."""
    total = 0.0
    for s in range(3):
        mine = [n for n, owner in enumerate(SEQUENCE) if owner == s]
        log_ratio = sum(logprobs[n] - behaviour[n] for n in mine) / (len(mine) if mean else 1)
        ratio, advantage = math.exp(log_ratio), advantages[mine[0]]
        total += min(ratio * advantage, min(max(ratio, low), high) * advantage)
    return total


def difference(function, point, step=1e-6):
    gradient = np.zeros_like(point)
    for n in range(len(point)):
        up, down = point.copy(), point.copy()
        up[n] += step
        down[n] -= step
        gradient[n] = (function(up) - function(down)) / (2 * step)
    return gradient


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("clip_low", "clip_high"), [(None, None), (0.1, 0.15)])
@pytest.mark.parametrize("name", ["sequence", "sequence_sum"])
def test_whole_sequence_ratios(name, clip_low, clip_high, seed):
    logprobs, behaviour, advantages = random_values(seed)
    low, high = (0.0, math.inf) if clip_low is None else (1 - clip_low, 1 + clip_high)

    def total(point):
        return numpy_sequence(point, behaviour, advantages, mean=name == "sequence", low=low, high=high)

    terms = make_terms(logprobs, behaviour, advantages, SEQUENCE)
    paid = RATIOS[name](terms, clip_low, clip_high)
    # GSPO's sequence surrogate is the mean over its tokens, RLOO's their sum
    share_N = torch.tensor(
        [1 / SEQUENCE.count(s) if name == "sequence" else 1.0 for s in SEQUENCE], dtype=torch.float64
    )
    value = (share_N * paid.value_N).sum()
    (gradient,) = torch.autograd.grad(value, terms.logprobs_N)
    assert value.item() == pytest.approx(total(logprobs))
    np.testing.assert_allclose(gradient.numpy(), difference(total, logprobs), atol=1e-7)


def test_gspo_hand_numbers():
    # log ratios 0.3 and -0.1: geometric mean exp(0.1); each token's gradient is s A, halved by the mean over tokens
    terms = make_terms([-0.7, -1.1], [-1.0, -1.0], [2.0, 2.0], [0, 0])
    paid = RATIOS["sequence"](terms, None, None)
    (gradient,) = torch.autograd.grad(paid.value_N.mean(), terms.logprobs_N)
    assert paid.value_N.tolist() == pytest.approx([2 * math.exp(0.1)] * 2)
    assert gradient.tolist() == pytest.approx([math.exp(0.1)] * 2)


@pytest.mark.parametrize(
    ("ratio", "advantage", "weight", "low", "high"),
    [
        (1.1, 1.0, 1.1, False, False),
        (1.9, 1.0, 1.28, False, True),
        (1.9, -2.0, 1.28, False, True),  # unlike PPO, the bound holds for either sign and the gradient stays
        (0.3, 1.0, 0.8, True, False),
    ],
)
def test_cispo_keeps_every_gradient(ratio, advantage, weight, low, high):
    logprob = math.log(ratio) - 1.0
    terms = make_terms([logprob], [-1.0], [advantage], [0])
    paid = RATIOS["cispo"](terms, 0.2, 0.28)
    (gradient,) = torch.autograd.grad(paid.value_N.sum(), terms.logprobs_N)
    assert paid.value_N.item() == pytest.approx(weight * advantage * logprob)
    assert gradient.item() == pytest.approx(weight * advantage)  # the weight is not differentiated
    assert (paid.low_N.item(), paid.high_N.item()) == (low, high)


@pytest.mark.parametrize("name", sorted(RATIOS))
def test_on_policy_every_ratio_is_reinforce(name):
    _, behaviour, advantages = random_values()
    terms = make_terms(behaviour, behaviour, advantages, SEQUENCE)
    paid = RATIOS[name](terms, 0.2, 0.2)
    (gradient,) = torch.autograd.grad(paid.value_N.sum(), terms.logprobs_N)
    np.testing.assert_allclose(gradient.numpy(), advantages, rtol=1e-12)
    assert not (paid.low_N | paid.high_N | paid.bound_N).any()
    np.testing.assert_allclose(paid.ratio_N.numpy(), 1.0)


@pytest.mark.parametrize("name", sorted(RATIOS))
def test_a_huge_log_ratio_is_cut_and_marked(name):
    # one token each, so that all four ratios are the token's; what was sampled against all odds is now certain
    terms = make_terms([0.0, -1.0, -400.0], [-400.0, -1.0, 0.0], [-1.0, -1.0, -1.0], [0, 1, 2])
    paid = RATIOS[name](terms, None, None)
    (gradient,) = torch.autograd.grad(paid.value_N.sum(), terms.logprobs_N)
    assert paid.bound_N.tolist() == [True, False, False]
    assert paid.ratio_N.tolist() == pytest.approx([math.exp(MAX_LOG_RATIO), 1.0, 0.0])
    assert torch.isfinite(gradient).all()


def test_the_bound_holds_in_fp32():
    assert math.exp(MAX_LOG_RATIO) ** 2 < torch.finfo(torch.float32).max


def test_sequence_numbers_without_gaps():
    terms = make_terms([-1.0, -1.0], [-1.0, -1.0], [1.0, 1.0], [0, 2])
    with pytest.raises(AssertionError, match="without gaps"):
        RATIOS["sequence"](terms, None, None)
