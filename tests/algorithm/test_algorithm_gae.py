"""Advantages of tokens and the critic's loss against plain loops, hand numbers and finite differences."""

import math

import numpy as np
import pytest
import torch

from ponder.algorithm import (
    ValueTerms,
    add_metrics,
    explained_variance,
    generalized_advantages,
    metric_values,
    shape_with_kl,
    token_rewards,
    value_loss,
    whiten,
)

LENGTHS = [3, 1, 4, 2]
SEQUENCE = torch.tensor([s for s, length in enumerate(LENGTHS) for _ in range(length)])


def tensor(values):
    return torch.tensor(np.asarray(values, float))


def made_up(seed, lengths=LENGTHS):
    random = np.random.default_rng(seed)
    return [[random.normal(0, 1, length) for length in lengths] for _ in range(4)]


def plain(rewards, values, gamma, lambda_):
    """The definition: the discounted sum of later surprises, each written out."""
    found = []
    for r, v in zip(rewards, values, strict=True):
        later = [*v[1:], 0.0]
        surprise = [r[t] + gamma * later[t] - v[t] for t in range(len(r))]
        found += [sum((gamma * lambda_) ** (i - t) * surprise[i] for i in range(t, len(r))) for t in range(len(r))]
    return found


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_advantages_are_the_discounted_sum_of_later_surprises(gamma, lambda_):
    rewards, values, _, _ = made_up(1)
    advantages_N, returns_N = generalized_advantages(
        tensor(np.concatenate(rewards)), tensor(np.concatenate(values)), SEQUENCE, gamma, lambda_
    )
    expected = plain(rewards, values, gamma, lambda_)
    np.testing.assert_allclose(advantages_N.numpy(), expected)
    np.testing.assert_allclose(returns_N.numpy(), expected + np.concatenate(values))


def test_hand_numbers():
    # A reward of 1 at the end, values 0.5, 0.25: d_1 = 1 - 0.25, d_0 = 0.9 * 0.25 - 0.5, A_0 = d_0 + 0.9 * 0.5 * d_1.
    got = generalized_advantages(tensor([0, 1]), tensor([0.5, 0.25]), torch.tensor([0, 0]), 0.9, 0.5)
    assert got[0].tolist() == pytest.approx([-0.275 + 0.3375, 0.75])
    assert got[1].tolist() == pytest.approx([0.5 + 0.0625, 1.0])


def test_with_lambda_one_the_critic_is_a_baseline():
    """All that is still earned, minus what was expected; the returns do not depend on the critic."""
    rewards, values, _, _ = made_up(2)
    advantages_N, returns_N = generalized_advantages(
        tensor(np.concatenate(rewards)), tensor(np.concatenate(values)), SEQUENCE, 1.0, 1.0
    )
    to_go = np.concatenate([np.cumsum(r[::-1])[::-1] for r in rewards])
    np.testing.assert_allclose(returns_N.numpy(), to_go)
    np.testing.assert_allclose(advantages_N.numpy(), to_go - np.concatenate(values))


def test_outputs_do_not_touch_each_other():
    """The same output alone and among others, whose lengths and order differ."""
    rewards, values, _, _ = made_up(3, [4, 2, 7])
    order = [2, 0, 1]
    together = generalized_advantages(
        tensor(np.concatenate([rewards[i] for i in order])),
        tensor(np.concatenate([values[i] for i in order])),
        torch.tensor([0] * 7 + [1] * 4 + [2] * 2),
        0.95,
        0.9,
    )[0]
    alone = [
        generalized_advantages(tensor(rewards[i]), tensor(values[i]), torch.zeros(len(rewards[i])).long(), 0.95, 0.9)[0]
        for i in order
    ]
    assert together.tolist() == torch.cat(alone).tolist()


def test_tokens_earn_their_output_at_the_end_and_pay_for_divergence():
    behaviour, reference, _, _ = made_up(4)
    outcome = [2.0, 0.0, -1.0, 0.5]
    got = token_rewards(
        tensor(outcome), tensor(np.concatenate(behaviour)), tensor(np.concatenate(reference)), SEQUENCE, 0.1
    )
    expected = []
    for s, length in enumerate(LENGTHS):
        for t in range(length):
            paid = -0.1 * (behaviour[s][t] - reference[s][t])
            expected.append(paid + (outcome[s] if t == length - 1 else 0.0))
    np.testing.assert_allclose(got.numpy(), expected)
    free = token_rewards(tensor(outcome), tensor(np.concatenate(behaviour)), None, SEQUENCE, 0.1)
    assert free.tolist() == [0, 0, 2, 0, 0, 0, 0, -1, 0, 0.5]


def test_divergence_in_the_reward_is_that_of_the_presets_without_a_critic():
    """With lambda 1, gamma 1 and a critic that expects nothing: what `shape_with_kl` makes of the reward."""
    behaviour, reference, _, _ = made_up(5)
    behaviour_N, reference_N = tensor(np.concatenate(behaviour)), tensor(np.concatenate(reference))
    outcome_S = tensor([2.0, 0.0, -1.0, 0.5])
    rewards_N = token_rewards(outcome_S, behaviour_N, reference_N, SEQUENCE, 0.3)
    advantages_N, _ = generalized_advantages(rewards_N, torch.zeros_like(rewards_N), SEQUENCE, 1.0, 1.0)
    shaped_N = shape_with_kl(outcome_S[SEQUENCE], behaviour_N, reference_N, SEQUENCE, 0.3)
    torch.testing.assert_close(advantages_N, shaped_N)


@pytest.mark.parametrize("sequence", [[0, 1, 0], [1, 0, 0], [0, 2, 2]])
def test_scattered_tokens_are_refused(sequence):
    ones_N = torch.ones(3)
    with pytest.raises(AssertionError, match="neighbours"):
        generalized_advantages(ones_N, ones_N, torch.tensor(sequence), 1.0, 1.0)


def test_whitened_advantages():
    values = [0.5, -1.0, 2.5, 0.0]
    got = whiten(tensor(values), 0.1)
    np.testing.assert_allclose(got.numpy(), (values - np.mean(values)) / (np.std(values, ddof=1) + 0.1))
    assert whiten(tensor([3.0]), 0.1).tolist() == [0.0]
    assert whiten(tensor([3.0, 3.0]), 0.1).tolist() == [0.0, 0.0]


def test_explained_variance():
    returns_N = tensor([0.0, 1.0, 2.0, 3.0])
    assert explained_variance(returns_N + 7, returns_N) == pytest.approx(1)  # off by a constant explains all the same
    assert explained_variance(tensor([1.5] * 4), returns_N) == pytest.approx(0)
    assert explained_variance(tensor([0.0, 0.5, 1.0, 1.5]), returns_N) == pytest.approx(0.75)
    assert explained_variance(-returns_N, returns_N) == pytest.approx(-3)
    assert math.isnan(explained_variance(returns_N, torch.ones(4)))


def terms(values, old, returns, weights):
    return ValueTerms(
        values_N=tensor(values).requires_grad_(),
        old_N=tensor(old),
        returns_N=tensor(returns),
        weights_N=tensor(weights),
    )


def plain_value_loss(values, old, returns, weights, clip):
    total = 0.0
    for v, o, r, w in zip(values, old, returns, weights, strict=True):
        errors = [(v - r) ** 2]
        if clip is not None:
            errors.append((min(max(v, o - clip), o + clip) - r) ** 2)
        total += w * max(errors) / 2
    return total


@pytest.mark.parametrize("clip", [None, 0.3])
def test_value_loss_and_its_gradient(clip):
    random = np.random.default_rng(6)
    values, old, returns = random.normal(0, 1, (3, 40))
    weights = random.uniform(0.1, 1, 40)
    made = terms(values, old, returns, weights)
    loss, metrics = value_loss(made, clip)
    assert float(loss.detach()) == pytest.approx(plain_value_loss(values, old, returns, weights, clip))
    (gradient,) = torch.autograd.grad(loss, made.values_N)
    step = 1e-6
    for i in range(40):
        nudged = [values + step * np.eye(40)[i] * sign for sign in (1, -1)]
        up, down = (plain_value_loss(one, old, returns, weights, clip) for one in nudged)
        assert float(gradient[i]) == pytest.approx((up - down) / (2 * step), abs=1e-6)
    silent = float((gradient == 0).double().mean())
    assert metric_values(metrics) == pytest.approx(
        {"loss/value": float(loss.detach()), "critic/value": values.mean(), "critic/clipped": silent}
    )
    assert (0.2 < silent < 0.8) == (clip is not None)


@pytest.mark.parametrize(
    ("value", "gradient"),
    [(0.1, -0.9), (0.5, 0.0), (-0.5, -1.5), (1.5, 0.0)],
    ids=["near", "moved right", "moved wrong", "moved beyond"],
)
def test_only_what_moved_in_the_right_direction_moves_no_further(value, gradient):
    """Of an old value of 0 and a return of 1, held within 0.2."""
    made = terms([value], [0.0], [1.0], [1.0])
    loss, _ = value_loss(made, 0.2)
    assert torch.autograd.grad(loss, made.values_N)[0].tolist() == pytest.approx([gradient])


def test_micro_batches_add_up_to_the_step():
    random = np.random.default_rng(7)
    columns = random.normal(0, 1, (4, 12))
    whole, measured = value_loss(terms(*columns), 0.2)
    parts = [value_loss(terms(*columns[:, cut]), 0.2) for cut in (slice(0, 5), slice(5, 12))]
    assert float(whole.detach()) == pytest.approx(sum(float(loss.detach()) for loss, _ in parts))
    assert metric_values(add_metrics(parts[0][1], parts[1][1])) == pytest.approx(metric_values(measured))


def test_terms_that_are_not_aligned_are_refused():
    with pytest.raises(AssertionError, match="aligned"):
        terms([1.0, 2.0], [1.0], [1.0, 2.0], [1.0, 2.0])
