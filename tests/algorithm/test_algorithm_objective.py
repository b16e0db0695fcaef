"""Each preset end to end against a re-derivation in plain Python loops, and what holds for all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ponder.algorithm import (
    ADVANTAGES,
    AGGREGATES,
    TokenTerms,
    add_metrics,
    metric_values,
    next_token_loss,
    policy_loss,
    truncated_weights,
)
from ponder.recipe.objective import PRESETS, Objective

BY_GROUP = sorted(set(PRESETS) - {"ppo"})
"""The presets whose advantages are those of whole outputs in a group."""
LENGTHS = [3, 1, 4, 2, 5, 2]
"""Six outputs: two groups of three."""
REWARDS = [[1.0, 0.0, 0.5], [0.0, 2.0, 1.0]]
MAX_TOKENS = 8
SPREAD = dict.fromkeys(PRESETS, 0.3) | {"gspo": 1e-3, "cispo": 2.0}
"""How far each preset's made-up update went: far enough to clip some tokens and not others."""


class Step:
    """One optimizer step's worth of made-up outputs."""

    def __init__(self, seed, spread=0.3):
        random = np.random.default_rng(seed)
        self.behaviour = [-random.exponential(1.5, length) for length in LENGTHS]
        self.logprobs = [b + random.normal(0, spread, len(b)) for b in self.behaviour]
        self.reference = [b + random.normal(0, 0.5, len(b)) for b in self.behaviour]
        self.entropy = [random.uniform(0, 2, length) for length in LENGTHS]

    def terms(self, objective, outputs=range(6)):
        """The terms of some of the outputs, with weights of the whole step, as the trainer would make them."""
        rewards = [torch.tensor(group, dtype=torch.float64) for group in REWARDS]
        advantages_S = torch.cat(ADVANTAGES[objective.advantage](rewards, objective.std_epsilon))
        weights_S = AGGREGATES[objective.aggregate](torch.tensor(LENGTHS), MAX_TOKENS).double()

        def join(parts):
            return torch.tensor(np.concatenate([parts[s] for s in outputs]))

        owner_N = torch.tensor([s for s in outputs for _ in range(LENGTHS[s])])
        sequence_N = torch.tensor([k for k, s in enumerate(outputs) for _ in range(LENGTHS[s])])
        return TokenTerms(
            logprobs_N=join(self.logprobs).requires_grad_(),
            behaviour_N=join(self.behaviour),
            reference_N=join(self.reference) if objective.kl_coefficient > 0 else None,
            entropy_N=join(self.entropy),
            advantages_N=advantages_S[owner_N],
            sequence_N=sequence_N,
            weights_N=weights_S[owner_N],
        )


def mean_std(rewards):
    mean = sum(rewards) / len(rewards)
    return mean, math.sqrt(sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))


def ppo(ratio, advantage, low, high):
    return min(ratio * advantage, max(low, min(high, ratio)) * advantage)


def advantage(kind, s):
    group, member = REWARDS[s // 3], s % 3
    mean, std = mean_std(group)
    others = [r for i, r in enumerate(group) if i != member]
    centred = [r - sum(g) / 3 for g in REWARDS for r in g]
    batch = math.sqrt(sum(c * c for c in centred) / 5)
    return {
        "grpo": (group[member] - mean) / (std + 1e-6),
        "centred": group[member] - mean,
        "rloo": group[member] - sum(others) / 2,
        "reinforce_pp": (group[member] - mean) / (batch + 1e-6),
    }[kind]


def paper_loss(preset, logprobs, step, frozen):
    """The objective as each paper prints it, negated, over nested lists. `frozen` are the log-probs a stopped gradient
    sees: the same numbers, which finite differences leave alone."""
    total, outputs, tokens = 0.0, len(LENGTHS), sum(LENGTHS)
    for s, length in enumerate(LENGTHS):
        d = [logprobs[s][t] - step.behaviour[s][t] for t in range(length)]
        ratio = [math.exp(x) for x in d]
        match preset:
            case "grpo":
                a = advantage("grpo", s)
                for t in range(length):
                    ref = step.reference[s][t] - logprobs[s][t]
                    kl = math.exp(ref) - ref - 1
                    total += (ppo(ratio[t], a, -9, 11) - 0.001 * kl) / length / outputs
            case "dr_grpo":
                a = advantage("centred", s)
                total += sum(ppo(r, a, 0.8, 1.2) for r in ratio) / MAX_TOKENS / outputs
            case "dapo":
                a = advantage("grpo", s)
                total += sum(ppo(r, a, 0.8, 1.28) for r in ratio) / tokens
            case "gspo":
                total += ppo(math.exp(sum(d) / length), advantage("grpo", s), 1 - 3e-4, 1 + 4e-4) / outputs
            case "cispo":
                a = advantage("grpo", s)
                for t in range(length):
                    weight = min(math.exp(frozen[s][t] - step.behaviour[s][t]), 5.0)
                    total += weight * a * logprobs[s][t] / tokens
            case "rloo":
                total += math.exp(sum(d)) * advantage("rloo", s) / outputs
            case "reinforce_pp":
                a = advantage("reinforce_pp", s)
                for t in range(length):
                    kl = (logprobs[s][t] - step.reference[s][t]) ** 2 / 2
                    total += (ppo(ratio[t], a, 0.8, 1.2) - 0.001 * kl) / tokens
    return -total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("preset", BY_GROUP)
def test_preset_equals_its_paper(preset, seed):
    step = Step(seed, SPREAD[preset])
    objective = Objective(preset=preset)
    terms = step.terms(objective)
    loss, _ = policy_loss(terms, objective)
    (gradient,) = torch.autograd.grad(loss, terms.logprobs_N)

    assert loss.item() == pytest.approx(paper_loss(preset, step.logprobs, step, step.logprobs), rel=1e-6)
    h, numeric = 1e-6, []
    for s, length in enumerate(LENGTHS):
        for t in range(length):
            moved = []
            for sign in (1, -1):
                changed = [values.copy() for values in step.logprobs]
                changed[s][t] += sign * h
                moved.append(paper_loss(preset, changed, step, step.logprobs))
            numeric.append((moved[0] - moved[1]) / (2 * h))
    np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("preset", BY_GROUP)
def test_a_mismatch_cap_takes_the_ratio_to_the_trainer_and_weighs_each_token(preset):
    """With nothing in the loss but the surrogate: each token's gradient is that of its paper's objective with p in the
    place of the behaviour, times min(p / behaviour, cap), which is a constant."""
    cap, step = 1.2, Step(3, SPREAD[preset])
    random = np.random.default_rng(4)
    proximal = [b + random.normal(0, 0.3, len(b)) for b in step.behaviour]
    step.logprobs = [p + random.normal(0, SPREAD[preset], len(p)) for p in proximal]
    objective = Objective(preset=preset, mismatch_cap=cap, kl_coefficient=0.0)
    terms = replace(step.terms(objective), proximal_N=torch.tensor(np.concatenate(proximal)))
    loss, metrics = policy_loss(terms, objective)
    (gradient,) = torch.autograd.grad(loss, terms.logprobs_N)

    behaviour, step.behaviour = step.behaviour, proximal  # as if the trainer had drawn them
    plain = step.terms(objective)
    (expected,) = torch.autograd.grad(
        policy_loss(plain, Objective(preset=preset, kl_coefficient=0.0))[0], plain.logprobs_N
    )
    ratio = [math.exp(p - b) for ps, bs in zip(proximal, behaviour, strict=True) for p, b in zip(ps, bs, strict=True)]
    weight = [min(r, cap) for r in ratio]
    np.testing.assert_allclose(gradient.numpy(), expected.numpy() * weight, rtol=1e-9, atol=1e-12)
    values = metric_values(metrics)
    assert values["policy/weight"] == pytest.approx(sum(weight) / len(weight))
    assert values["policy/weight_max"] == cap
    assert values["policy/weight_capped"] == pytest.approx(sum(r > cap for r in ratio) / len(ratio))
    assert 0 < values["policy/weight_capped"] < 1


def test_where_engine_and_trainer_agree_a_cap_changes_nothing():
    step = Step(7)
    for preset in sorted(PRESETS):
        objective = Objective(preset=preset)
        capped = Objective(preset=preset, mismatch_cap=2.0)
        terms = step.terms(objective) if preset != "ppo" else step.terms(Objective())
        loss, metrics = policy_loss(terms, objective)
        same, more = policy_loss(replace(terms, proximal_N=terms.behaviour_N), capped)
        assert same.item() == loss.item()
        assert {name: more[name] for name in metrics} == metrics
        assert more.keys() - metrics.keys() == {"policy/weight", "policy/weight_capped"}


def test_ppo_weighs_its_tokens_as_well():
    step, objective = Step(8), Objective(preset="ppo", mismatch_cap=1.1)
    terms = step.terms(Objective())
    advantages_N = torch.tensor(np.random.default_rng(9).normal(0, 1, sum(LENGTHS)))
    proximal_N = terms.behaviour_N + torch.tensor(np.random.default_rng(2).normal(0, 0.3, sum(LENGTHS)))
    loss, _ = policy_loss(replace(terms, advantages_N=advantages_N, proximal_N=proximal_N), objective)
    now, old, drawn = (np.asarray(one) for one in (terms.logprobs_N.detach(), proximal_N, terms.behaviour_N))
    owners = [s for s, length in enumerate(LENGTHS) for _ in range(length)]
    paid = [
        min(math.exp(p - b), 1.1) * ppo(math.exp(n - p), a, 0.8, 1.2) / LENGTHS[s] / len(LENGTHS)
        for n, p, b, a, s in zip(now, old, drawn, advantages_N.tolist(), owners, strict=True)
    ]
    assert loss.item() == pytest.approx(-sum(paid))


def test_weights_cannot_overflow():
    weight_N, capped_N = truncated_weights(torch.tensor([0.0, -1.0]), torch.tensor([-400.0, -1.0]), 2.0)
    assert weight_N.tolist() == [2.0, 1.0] and capped_N.tolist() == [True, False]


def test_a_cap_below_one_is_refused():
    with pytest.raises(ValidationError, match=r"mismatch_cap 0\.5 would make every token count less"):
        Objective(mismatch_cap=0.5)


def test_a_cap_without_the_trainers_logprobs_is_a_bug():
    with pytest.raises(AssertionError, match="mismatch_cap is 2"):
        policy_loss(Step(8).terms(Objective(preset="dapo")), Objective(preset="dapo", mismatch_cap=2.0))


def test_the_cases_above_do_clip():
    clipped = set()
    for preset in BY_GROUP:
        objective = Objective(preset=preset)
        for seed in range(4):
            metrics = metric_values(policy_loss(Step(seed, SPREAD[preset]).terms(objective), objective)[1])
            if 0 < metrics["policy/clipped"] < 1:
                clipped.add(preset)
    assert clipped == set(BY_GROUP) - {"grpo", "rloo"}


@pytest.mark.parametrize("preset", [*BY_GROUP, "reward"])
def test_micro_batches_change_nothing(preset):
    objective = (
        Objective(preset="reinforce_pp", kl_placement="reward", kl_estimator="k1", kl_coefficient=0.1)
        if preset == "reward"
        else Objective(preset=preset)
    )
    step = Step(5)
    whole = step.terms(objective)
    loss, metrics = policy_loss(whole, objective)
    loss.backward()
    losses, gradients, summed = 0.0, [], {}
    for outputs in ([0, 1], [2], [3, 4, 5]):
        part = step.terms(objective, outputs)
        part_loss, part_metrics = policy_loss(part, objective)
        part_loss.backward()
        losses += part_loss.item()
        gradients.append(part.logprobs_N.grad)
        summed = add_metrics(summed, part_metrics)
    assert losses == pytest.approx(loss.item())
    torch.testing.assert_close(torch.cat(gradients), whole.logprobs_N.grad)
    assert metric_values(summed) == pytest.approx(metric_values(metrics))


def test_divergence_in_the_reward_lowers_the_advantage_of_what_led_to_it():
    objective = Objective(preset="reinforce_pp", kl_placement="reward", kl_estimator="k1", kl_coefficient=0.1)
    step = Step(6, spread=0.0)
    terms = step.terms(objective)
    loss, _ = policy_loss(terms, objective)
    (gradient,) = torch.autograd.grad(loss, terms.logprobs_N)
    expected = []  # on policy the gradient of each token is -weight * shaped advantage
    for s, length in enumerate(LENGTHS):
        for t in range(length):
            to_go = sum(step.behaviour[s][i] - step.reference[s][i] for i in range(t, length))
            expected.append(-(advantage("reinforce_pp", s) - 0.1 * to_go) / sum(LENGTHS))
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6)


def test_ppo_is_the_clipped_surrogate_of_tokens_with_advantages_of_their_own():
    """DeepSeekMath eq. 1. The divergence is in the advantages already: it is measured, and not paid twice."""
    objective, step = Objective(preset="ppo"), Step(8)
    terms = step.terms(Objective(kl_coefficient=0.001))
    advantages_N = torch.tensor(np.random.default_rng(9).normal(0, 1, sum(LENGTHS)))
    terms = replace(terms, advantages_N=advantages_N)
    loss, metrics = policy_loss(terms, objective)
    owners = [(s, t) for s, length in enumerate(LENGTHS) for t in range(length)]
    ratio = [math.exp(step.logprobs[s][t] - step.behaviour[s][t]) for s, t in owners]
    paid = [
        ppo(r, a, 0.8, 1.2) / LENGTHS[s] / len(LENGTHS)
        for r, a, (s, _) in zip(ratio, advantages_N.tolist(), owners, strict=True)
    ]
    assert loss.item() == pytest.approx(-sum(paid))
    assert 0 < metric_values(metrics)["policy/clipped"] < 1
    k1 = [step.logprobs[s][t] - step.reference[s][t] for s, t in owners]
    assert metric_values(metrics)["policy/kl"] == pytest.approx(sum(k1) / len(k1))


def test_metrics_by_hand():
    objective = Objective(preset="dapo")
    terms = TokenTerms(
        logprobs_N=torch.tensor([-1.0, -2.0, -1.0, 0.0], dtype=torch.float64, requires_grad=True),
        behaviour_N=torch.tensor([-1.0, -1.0, -2.0, -30.0], dtype=torch.float64),
        reference_N=torch.tensor([-1.0, -1.0, -1.0, 0.0], dtype=torch.float64),
        entropy_N=torch.tensor([0.5, 1.0, 1.5, 2.0], dtype=torch.float64),
        advantages_N=torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64),
        sequence_N=torch.tensor([0, 1, 2, 2]),
        weights_N=torch.full((4,), 0.25, dtype=torch.float64),
    )
    loss, metrics = policy_loss(terms, objective)
    values = metric_values(metrics)
    # ratios 1, 1/e, e, e^20 (cut); paid 1, -0.8, 1.28, 1.28
    assert loss.item() == pytest.approx(-(1 - 0.8 + 1.28 + 1.28) / 4)
    assert values == pytest.approx(
        {
            "loss/policy": loss.item(),
            "policy/ratio": (1 + math.exp(-1) + math.e + math.exp(20)) / 4,
            "policy/ratio_max": math.exp(20),
            "policy/clipped": 0.75,
            "policy/clipped_low": 0.25,
            "policy/clipped_high": 0.5,
            "policy/ratio_bound": 1,
            "policy/entropy": 1.25,
            "policy/kl": (math.e - 1 - 1) / 4,  # only the second token left its reference: k3 of -1
            "policy/kl_bound": 0,
            "policy/mismatch": (0 + 1 + 1 + 30) / 4,
            "policy/mismatch_max": 30,
        }
    )


def test_a_cut_divergence_is_counted():
    step, objective = Step(7), Objective(preset="grpo")
    step.reference[2] = step.logprobs[2] + 25.0
    _, metrics = policy_loss(step.terms(objective), objective)
    assert metrics["policy/kl_bound"].value == LENGTHS[2]


def test_divergence_without_a_reference_is_a_bug():
    terms = Step(8).terms(Objective(preset="dapo"))
    with pytest.raises(AssertionError, match="no reference"):
        policy_loss(terms, Objective(preset="grpo"))


def test_next_token_loss():
    step = Step(9)
    terms = step.terms(Objective(preset="dapo"))
    loss, metrics = next_token_loss(terms)
    (gradient,) = torch.autograd.grad(loss, terms.logprobs_N)
    nll = -np.concatenate(step.logprobs).mean()
    assert loss.item() == pytest.approx(nll, rel=1e-6)  # dapo's weights are the mean over tokens
    np.testing.assert_allclose(gradient.numpy(), -1 / sum(LENGTHS), rtol=1e-6)
    assert metric_values(metrics) == pytest.approx(
        {
            "loss/next_token": nll,
            "policy/entropy": np.concatenate(step.entropy).mean(),
        }
    )


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"behaviour_N": torch.zeros(2)}, "aligned"),
        ({"entropy_N": torch.zeros(3, dtype=torch.bfloat16)}, "fp32"),
        ({"sequence_N": torch.zeros(3)}, "int64"),
    ],
)
def test_terms_that_do_not_fit_together_are_refused(change, match):
    fields = {name: torch.zeros(3) for name in TokenTerms.__dataclass_fields__}
    with pytest.raises(AssertionError, match=match):
        TokenTerms(**{**fields, "sequence_N": torch.zeros(3, dtype=torch.int64), **change})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kl_estimator": "k1"}, "expected gradient of 0"),
        ({"kl_placement": "reward"}, "set kl_estimator to 'k1'"),
    ],
)
def test_choices_that_cannot_work_together_are_refused(settings, match):
    with pytest.raises(ValidationError, match=match):
        Objective(**settings)


@pytest.mark.parametrize("coefficient", [0.0, 0.01, 0.5])
def test_the_entropy_bonus_is_subtracted_with_the_weight_of_its_token(coefficient):
    step = Step(0)
    plain, paid = Objective(), Objective(entropy_coefficient=coefficient)
    terms = step.terms(plain)
    entropy_N = terms.entropy_N.clone().requires_grad_()
    loss, _ = policy_loss(replace(terms, entropy_N=entropy_N), paid)
    bonus = sum(sum(step.entropy[s]) / length / len(LENGTHS) for s, length in enumerate(LENGTHS))
    assert loss.item() == pytest.approx(policy_loss(terms, plain)[0].item() - coefficient * bonus, rel=1e-6)
    if coefficient:
        (gradient,) = torch.autograd.grad(loss, entropy_N)
        np.testing.assert_allclose(gradient.numpy(), -coefficient * terms.weights_N.numpy(), rtol=1e-9)
