"""A critic beside a policy: its values, its gradient, the credit it gives, and that it goes on bit for bit."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from devices import DEVICE
from rounding import assert_close_gradients, assert_close_logits

from ponder.errors import LearningError
from ponder.policy import Policy
from ponder.policy.critic import Critic, new_critic
from ponder.recipe.objective import Objective
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Span
from ponder.train import CriticTrainer, Sample, TokenCredit, load_incident, spread
from ponder.train.incident import save_incident

Samples = Callable[..., list[Sample]]
MakePolicy = Callable[[], Policy]
LAYERS = 2


@pytest.fixture
def critic(make_policy: MakePolicy) -> Critic:
    return with_row(new_critic(make_policy(), "tiny"))


def with_row(critic: Critic) -> Critic:
    """The critic as after some learning: a row that is not 0."""
    row = torch.randn(1, 32, generator=torch.Generator().manual_seed(2))
    critic.model.score.weight.data.copy_(row)  # type: ignore[union-attr, operator]
    return critic


def trainer_of(
    critic: Critic, budget: int = 10_000, folder: Path = Path("unused"), clip: float | None = 0.2, **optimizer: float
) -> CriticTrainer:
    limits = BatchLimits(tokens_per_micro_batch=budget)
    return CriticTrainer(critic, Optimizer(**{"lr": 1e-2, **optimizer}), limits, clip, folder)  # type: ignore[arg-type]


def own_values(critic: Critic, sample: Sample) -> torch.Tensor:
    """Transformers' own attention, this sequence alone: the number at the token before each learnt one."""
    critic.model.set_attn_implementation("eager")
    ids = torch.tensor([(*sample.prompt_ids, *sample.response_ids)], device=DEVICE)
    hidden = critic.model.base_model(ids).last_hidden_state[0, len(sample.prompt_ids) - 1 : -1]
    critic.model.set_attn_implementation("ponder")
    return critic.model.score(hidden)[torch.tensor(sample.learnt, device=DEVICE), 0]  # type: ignore[no-any-return, operator]


def in_turns(sample: Sample, *spans: Span) -> Sample:
    """The sample, of whose response only these tokens were sampled."""
    learnt = sum(end - start for start, end in spans)
    assert sample.behaviour is not None and sample.reference is not None
    return replace(sample, spans=spans, behaviour=sample.behaviour[:learnt], reference=sample.reference[:learnt])


def credited(samples: list[Sample], seed: int = 0) -> list[Sample]:
    random = np.random.default_rng(seed)
    return [
        replace(
            sample,
            credit=TokenCredit(
                advantages=random.normal(0, 1, sample.learnt_tokens),
                values=random.normal(0, 1, sample.learnt_tokens),
                returns=random.normal(0, 1, sample.learnt_tokens),
            ),
        )
        for sample in samples
    ]


def test_a_new_critic_expects_nothing_and_shares_nothing(policy: Policy, samples: Samples) -> None:
    critic = new_critic(policy, "tiny")
    assert all(torch.equal(v, torch.zeros(len(v))) for v in trainer_of(critic).values(samples()))
    theirs = {p.data_ptr() for p in policy.model.parameters()}
    assert not theirs & {p.data_ptr() for p in critic.model.parameters()}
    assert all(p.requires_grad for p in critic.model.parameters())


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_values_are_those_of_each_sequence_alone(critic: Critic, samples: Samples, budget: int) -> None:
    batch = samples()
    batch[3] = in_turns(next(s for s in batch if len(s.response_ids) > 6), (0, 2), (4, 6))
    batch[3] = replace(batch[3], group=batch[2].group, prompt_ids=batch[2].prompt_ids)
    got = trainer_of(critic, budget).values(batch)
    for sample, values in zip(batch, got, strict=True):
        assert len(values) == sample.learnt_tokens
        assert_close_logits(values, own_values(critic, sample).detach(), LAYERS)


@pytest.mark.parametrize("clip", [None, 0.3])
def test_gradient_is_that_of_each_sequence_alone(critic: Critic, samples: Samples, clip: float | None) -> None:
    batch = credited(samples())
    total = torch.tensor(0.0, device=DEVICE)
    for sample in batch:
        assert sample.credit is not None
        values, old, returns = (
            own_values(critic, sample),
            *(torch.tensor(list(x), device=DEVICE) for x in (sample.credit.values, sample.credit.returns)),
        )
        errors = (values - returns) ** 2
        if clip is not None:
            errors = torch.maximum(errors, (torch.clamp(values, old - clip, old + clip) - returns) ** 2)
        total = total + sample.weight * errors.sum() / 2
    total.backward()
    expected = gradient_of(critic)
    for budget in (1, 50, 10_000):
        critic.model.zero_grad()
        metrics = trainer_of(critic, budget, clip=clip).forward_backward(batch)
        assert metrics["loss/value"].value == pytest.approx(float(total.detach()), rel=1e-4)
        assert_close_gradients(gradient_of(critic), expected, LAYERS)


def gradient_of(critic: Critic) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in critic.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("lambda_", [0.95, 1.0])
@pytest.mark.parametrize("coefficient", [0.0, 0.1])
def test_credit_is_the_papers_in_plain_loops(samples: Samples, lambda_: float, coefficient: float) -> None:
    """Over outputs of one turn and of several: what was only read earns nothing and takes no place."""
    batch = samples(groups=2)
    long = [i for i, sample in enumerate(batch) if len(sample.response_ids) > 6]
    batch[long[0]] = in_turns(batch[long[0]], (0, 2), (4, 6))
    batch[long[1]] = in_turns(batch[long[1]], (1, 2), (3, 4), (5, 7))
    random = np.random.default_rng(3)
    values = [random.normal(0, 1, sample.learnt_tokens) for sample in batch]
    objective = Objective.model_validate(
        {"preset": "ppo", "gae_lambda": lambda_, "gae_gamma": 0.99, "kl_coefficient": coefficient}
    )
    got, metrics = spread(batch, [torch.tensor(v) for v in values], objective)

    raw: list[list[float]] = []
    for sample, v in zip(batch, values, strict=True):
        assert sample.behaviour is not None and sample.reference is not None
        rewards = [-coefficient * (b - r) for b, r in zip(sample.behaviour, sample.reference, strict=True)]
        rewards[-1] += sample.advantage
        advantages, following = [0.0] * len(v), 0.0
        for t in reversed(range(len(v))):
            expected_next = v[t + 1] if t + 1 < len(v) else 0.0
            following = rewards[t] + 0.99 * expected_next - v[t] + 0.99 * lambda_ * following
            advantages[t] = following
        raw.append(advantages)
    flat = np.concatenate(raw)
    mean, deviation = flat.mean(), flat.std(ddof=1)
    for sample, own, v in zip(got, raw, values, strict=True):
        assert sample.credit is not None and len(sample.credit) == sample.learnt_tokens
        np.testing.assert_allclose(sample.credit.advantages, (np.array(own) - mean) / (deviation + 1e-6), rtol=1e-5)
        np.testing.assert_allclose(sample.credit.returns, np.array(own) + v, rtol=1e-5)
        np.testing.assert_allclose(sample.credit.values, v, rtol=1e-6)
    returns = flat + np.concatenate(values)
    assert metrics["critic/return"] == pytest.approx(returns.mean())
    assert metrics["critic/explained_variance"] == pytest.approx(1 - flat.var() / returns.var())


def test_a_critic_learns_what_is_to_be_expected(critic: Critic, samples: Samples) -> None:
    """Returns that the prompt decides: soon they are foreseen."""
    batch = [
        replace(sample, credit=TokenCredit(advantages=zeros, values=zeros, returns=[float(sample.group[1:])] * n))
        for sample in samples()
        for n in [sample.learnt_tokens]
        for zeros in [[0.0] * n]
    ]
    trainer = trainer_of(critic, clip=None)
    losses = []
    for _ in range(30):
        losses.append(trainer.forward_backward(batch)["loss/value"].value)
        trainer.optimizer_step(1e-2)
    assert losses[-1] < 0.1 * losses[0]
    found = [float(values.mean()) for values in trainer.values(batch)]
    assert np.corrcoef(found, [float(sample.group[1:]) for sample in batch])[0, 1] > 0.9


def test_resumed_equals_uninterrupted_bit_for_bit(make_policy: MakePolicy, samples: Samples, tmp_path: Path) -> None:
    def steps(trainer: CriticTrainer, first: int, last: int) -> None:
        for step in range(first, last):
            trainer.forward_backward(credited(samples(seed=step), step))
            trainer.optimizer_step(1e-2 / (step + 1))

    straight = with_row(new_critic(make_policy(), "tiny"))
    steps(trainer_of(straight, 70), 0, 6)
    first = trainer_of(with_row(new_critic(make_policy(), "tiny")), 70)
    steps(first, 0, 4)
    first.save(tmp_path)
    assert not (tmp_path / "model" / "ponder_scorer.json").exists()  # nobody takes it for a reward model
    other = new_critic(make_policy(), "tiny")
    resumed = trainer_of(other, 70)
    resumed.load(tmp_path)
    steps(resumed, 4, 6)
    assert resumed.version == 6
    mine, theirs = straight.model.state_dict(), other.model.state_dict()
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_bad_gradients_are_skipped_saved_and_finally_fatal(critic: Critic, samples: Samples, tmp_path: Path) -> None:
    batch = credited(samples())
    spoilt = replace(
        batch[0],
        credit=TokenCredit(advantages=[0.0], values=[0.0], returns=[math.inf]),
        spans=((0, 1),),
        behaviour=(-1.0,),
        reference=(-1.0,),
    )
    batch[0] = spoilt
    before = {name: tensor.clone() for name, tensor in critic.model.state_dict().items()}
    trainer = trainer_of(critic, folder=tmp_path, max_skipped_in_a_row=2)
    trainer.forward_backward(batch)
    assert trainer.optimizer_step(1e-2).skipped == "the loss was inf" and trainer.skipped == 1
    (file,) = tmp_path.glob("critic-*.json")
    assert '"reason": "the loss was inf"' in file.read_text()
    for number in range(1, 20):
        (tmp_path / f"critic-{number}.json").touch()
    trainer.forward_backward(batch)
    with pytest.raises(LearningError, match=f"the critic's: the loss was inf.* saved in {re.escape(str(tmp_path))}.$"):
        trainer.optimizer_step(1e-2)
    assert len(list(tmp_path.iterdir())) == 20  # that many are kept
    assert all(torch.equal(before[name], tensor) for name, tensor in critic.model.state_dict().items())


def test_memory_runs_out_and_the_step_is_computed_again(
    critic: Critic, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = credited(samples())
    trainer_of(critic).forward_backward(batch)
    expected = gradient_of(critic)
    critic.model.zero_grad()
    trainer, values, calls = trainer_of(critic, 100), Critic.values, []

    def short_of_memory(self: Critic, *arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError
        return values(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Critic, "values", short_of_memory)
    with pytest.warns(UserWarning, match="Memory ran out"):
        trainer.forward_backward(batch)
    assert trainer.tokens_per_micro_batch == 50
    assert_close_gradients(gradient_of(critic), expected, LAYERS)


def test_samples_with_and_without_credit_are_not_mixed(critic: Critic, samples: Samples) -> None:
    batch = samples()
    with pytest.raises(AssertionError, match="learns from samples that have credit"):
        trainer_of(critic).forward_backward(batch)
    with pytest.raises(AssertionError, match="gave credit to 1 of 16"):
        trainer_of(critic).forward_backward([*credited(batch[:1]), *batch[1:]])
    with pytest.raises(AssertionError, match="learnt tokens but credit for 1"):
        replace(
            batch[0],
            response_ids=(3, 4, 5),
            behaviour=None,
            reference=None,
            credit=TokenCredit(advantages=[0.0], values=[0.0], returns=[0.0]),
        )


def test_credit_comes_back_from_an_incident(samples: Samples, tmp_path: Path) -> None:
    batch = credited(samples(groups=1))
    folder = save_incident(tmp_path, {"reason": "x", "version": 0, "skipped": 1}, batch, [])
    assert folder is not None and load_incident(folder) == batch
