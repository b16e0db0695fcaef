"""Divergence estimators: values, exact expectations over small distributions, gradients, reward shaping."""

import math

import numpy as np
import pytest
import torch

from ponder.algorithm import KLS, shape_with_kl
from ponder.algorithm.ratio import MAX_LOG_RATIO


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "expected"),
    # policy 0.5 and 0.2, reference 0.25 and 0.4
    [
        ("k1", [math.log(2), -math.log(2)]),
        ("k2", [math.log(2) ** 2 / 2] * 2),
        ("k3", [0.5 + math.log(2) - 1, 2 - math.log(2) - 1]),
    ],
)
def test_hand_numbers(name, expected):
    got = KLS[name](tensor([0.5, 0.2]).log(), tensor([0.25, 0.4]).log())
    assert got.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(KLS))
def test_gradients_by_finite_differences(name):
    random = np.random.default_rng(1)
    point, reference_N = random.normal(-2, 1, 6), tensor(random.normal(-2, 1, 6))
    logprobs_N = tensor(point).requires_grad_()
    (gradient,) = torch.autograd.grad(KLS[name](logprobs_N, reference_N).sum(), logprobs_N)
    step = 1e-6
    up, down = KLS[name](tensor(point + step), reference_N), KLS[name](tensor(point - step), reference_N)
    torch.testing.assert_close(gradient, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


def expected(name, logits_V, reference_V):
    """The estimator's value and its score-free gradient in expectation over the policy, exactly, with the true KL."""
    logprobs_V = torch.log_softmax(logits_V, 0)
    policy_V = logprobs_V.exp()
    estimate = (policy_V.detach() * KLS[name](logprobs_V, reference_V)).sum()
    truth = (policy_V * (logprobs_V - reference_V)).sum()
    (gradient,) = torch.autograd.grad(estimate, logits_V, retain_graph=True)
    (true_gradient,) = torch.autograd.grad(truth, logits_V)
    return estimate.item(), truth.item(), gradient, true_gradient


@pytest.fixture
def distributions():
    generator = torch.Generator().manual_seed(3)
    logits_V = torch.randn(7, generator=generator, dtype=torch.float64).requires_grad_()
    return logits_V, torch.log_softmax(torch.randn(7, generator=generator, dtype=torch.float64), 0)


@pytest.mark.parametrize("name", ["k1", "k3"])
def test_k1_and_k3_are_unbiased(name, distributions):
    estimate, truth, _, _ = expected(name, *distributions)
    assert truth > 0.1
    assert estimate == pytest.approx(truth)


def test_k2_has_the_gradient_of_the_divergence_and_k1_none(distributions):
    _, _, gradient, truth = expected("k2", *distributions)
    torch.testing.assert_close(gradient, truth)
    _, _, gradient, _ = expected("k1", *distributions)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))
    assert truth.abs().max() > 0.01


def test_k3_is_cut_where_exp_would_overflow():
    logprobs_N = torch.tensor([-200.0, 0.0, -1.0], requires_grad=True)  # fp32: exp(200) overflows
    kl_N = KLS["k3"](logprobs_N, torch.tensor([0.0, -200.0, -1.0]))
    (gradient,) = torch.autograd.grad(kl_N.sum(), logprobs_N)
    assert kl_N.tolist() == pytest.approx([math.exp(MAX_LOG_RATIO) - MAX_LOG_RATIO - 1, 199.0, 0.0], rel=1e-6)
    assert gradient.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)  # nothing pushes away from the reference


def test_each_token_answers_for_itself_and_what_follows():
    random = np.random.default_rng(2)
    sequence = [0, 0, 0, 1, 2, 2]
    behaviour, reference, advantages = (
        random.normal(-1, 1, 6),
        random.normal(-1, 1, 6),
        random.normal(0, 1, 3)[sequence],
    )
    expected = [
        advantages[t] - 0.25 * sum(behaviour[i] - reference[i] for i in range(t, 6) if sequence[i] == sequence[t])
        for t in range(6)
    ]
    got = shape_with_kl(tensor(advantages), tensor(behaviour), tensor(reference), torch.tensor(sequence), 0.25)
    np.testing.assert_allclose(got.numpy(), expected)


def test_shaping_refuses_scattered_tokens():
    ones = torch.ones(3)
    with pytest.raises(AssertionError, match="neighbours"):
        shape_with_kl(ones, ones, ones, torch.tensor([0, 1, 0]), 0.1)
