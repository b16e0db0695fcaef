"""The trainer: one gradient whatever the micro-batches, guarded steps, memory, exact resumption."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from devices import DEVICE
from rounding import assert_close_gradients, assert_close_logprobs

from ponder.algorithm import Sum, TokenTerms
from ponder.errors import LearningError, ModelError
from ponder.policy import Policy
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Sample, Trainer, load_incident

Samples = Callable[..., list[Sample]]


LAYERS = 2


def loss(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
    """Every input that a loss may use, with a gradient through log-probs and entropy."""
    assert terms.reference_N is not None
    ratio = (terms.logprobs_N - terms.behaviour_N).exp()
    each = -ratio * terms.advantages_N + 0.1 * (terms.logprobs_N - terms.reference_N) ** 2 - 0.05 * terms.entropy_N
    entropy = Sum(
        total=float(terms.entropy_N.detach().sum()), count=len(ratio), peak=float(terms.entropy_N.detach().max())
    )
    return (each * terms.weights_N).sum(), {"policy/entropy": entropy}


def trainer_of(policy: Policy, budget: int = 10_000, folder: Path = Path("unused"), **optimizer: float) -> Trainer:
    limits = BatchLimits(tokens_per_micro_batch=budget, logprob_chunk=16)
    return Trainer(policy, Optimizer(**{"lr": 1e-2, **optimizer}), limits, 0.8, folder)  # type: ignore[arg-type]


def gradient_of(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}


def assert_same_gradient(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert_close_gradients(one, other, LAYERS)


def independent_gradient(policy: Policy, samples: list[Sample]) -> dict[str, torch.Tensor]:
    """Transformers' own attention, one sequence at a time, full logits."""
    policy.model.set_attn_implementation("eager")
    total = torch.tensor(0.0, device=DEVICE)
    for sample in samples:
        ids = torch.tensor([(*sample.prompt_ids, *sample.response_ids)], device=DEVICE)
        first, count = len(sample.prompt_ids), len(sample.response_ids)
        logprobs = (policy.model(ids).logits[0, first - 1 : -1] / 0.8).log_softmax(-1)
        terms = TokenTerms(
            logprobs_N=logprobs.gather(1, ids[0, first:, None])[:, 0],
            behaviour_N=torch.tensor(sample.behaviour, device=DEVICE),
            reference_N=torch.tensor(sample.reference, device=DEVICE),
            entropy_N=-(logprobs.exp() * logprobs).sum(-1),
            advantages_N=torch.full((count,), sample.advantage, device=DEVICE),
            sequence_N=torch.zeros(count, dtype=torch.long, device=DEVICE),
            weights_N=torch.full((count,), sample.weight, device=DEVICE),
        )
        total = total + loss(terms)[0]
    total.backward()
    gradient = gradient_of(policy)
    policy.model.zero_grad()
    policy.model.set_attn_implementation("ponder")
    return gradient


def test_gradient_is_the_same_for_any_micro_batches(policy: Policy, samples: Samples) -> None:
    batch = samples()
    expected = independent_gradient(policy, batch)
    entropies = []
    for budget in (10_000, 100, 40, 1):
        trainer = trainer_of(policy, budget)
        metrics = trainer.forward_backward(batch, loss)
        assert_same_gradient(gradient_of(policy), expected)
        entropies.append(metrics["policy/entropy"])
        policy.model.zero_grad()
    assert len({entry.count for entry in entropies}) == 1
    assert all(entry.total == pytest.approx(entropies[0].total, rel=1e-5) for entry in entropies)
    trainer = trainer_of(policy)
    for half in (batch[:7], batch[7:]):  # a step may be fed in parts
        trainer.forward_backward(half, loss)
    assert_same_gradient(gradient_of(policy), expected)


def test_order_of_samples_does_not_matter(policy: Policy, samples: Samples) -> None:
    batch = samples()
    trainer_of(policy, 60).forward_backward(batch, loss)
    expected = gradient_of(policy)
    policy.model.zero_grad()
    trainer_of(policy, 60).forward_backward(batch[::-1], loss)
    assert_same_gradient(gradient_of(policy), expected)


def test_logprobs_come_back_in_order(policy: Policy, samples: Samples) -> None:
    batch = samples()
    parts = [trainer_of(policy, budget).logprobs(batch) for budget in (10_000, 50, 1)]
    policy.model.set_attn_implementation("eager")
    for i, sample in enumerate(batch):
        ids = torch.tensor([(*sample.prompt_ids, *sample.response_ids)], device=DEVICE)
        logits = policy.model(ids).logits[0, len(sample.prompt_ids) - 1 : -1].detach()
        plain = (
            (logits / 0.8).log_softmax(-1).gather(1, torch.tensor(sample.response_ids, device=DEVICE)[:, None])[:, 0]
        )
        for part in parts:
            assert_close_logprobs(part[i], plain, logits, LAYERS, temperature=0.8)
    whole = parts[0]
    assert not whole[0].requires_grad


def test_reference_stays_while_the_policy_learns(policy: Policy, samples: Samples) -> None:
    batch = samples()
    trainer = trainer_of(policy)
    before = trainer.logprobs(batch)
    trainer.freeze()
    trainer.forward_backward(batch, loss)
    trainer.optimizer_step(1e-2)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.logprobs(batch, frozen=True), strict=True))
    moved = trainer.logprobs(batch)
    assert not torch.allclose(before[0], moved[0], atol=1e-3)
    trainer.freeze()
    assert all(torch.equal(a, b) for a, b in zip(moved, trainer.logprobs(batch, frozen=True), strict=True))


def test_step_is_clipped_adamw_with_decay_of_matrices_only(policy: Policy, samples: Samples) -> None:
    batch = samples()
    twin = policy.frozen_copy().model.requires_grad_(True)
    trainer = trainer_of(policy, weight_decay=0.1, max_grad_norm=0.01)
    decay = [p for p in twin.parameters() if p.ndim > 1]
    rest = [p for p in twin.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    for step in range(3):
        trainer.forward_backward(batch, loss)
        for mine, other in zip(policy.model.parameters(), twin.parameters(), strict=True):
            assert mine.grad is not None
            other.grad = mine.grad.clone()
        norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 / (step + 1)
        optimizer.step()
        report = trainer.optimizer_step(0.01 / (step + 1))
        assert report.grad_norm == pytest.approx(float(norm), rel=1e-5)
        assert (report.version, report.skipped) == (step + 1, None)
        for mine, other in zip(policy.model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_training_lowers_the_loss(policy: Policy, samples: Samples) -> None:
    batch = samples()
    trainer = trainer_of(policy)

    def likelihood(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        value = -(terms.logprobs_N * terms.weights_N).sum()
        return value, {"loss": Sum(total=float(value.detach()), count=1)}

    losses = []
    for _ in range(30):
        losses.append(trainer.forward_backward(batch, likelihood)["loss"].value)
        trainer.optimizer_step(1e-2)
    assert losses[-1] < 0.5 * losses[0]
    version, tensors = trainer.weights()
    named = dict(policy.model.named_parameters())
    assert version == 30
    assert {name: tensor.data_ptr() for name, tensor in tensors} == {name: p.data_ptr() for name, p in named.items()}


def test_bad_gradients_are_skipped_saved_and_finally_fatal(policy: Policy, samples: Samples, tmp_path: Path) -> None:
    batch = samples()
    trainer = trainer_of(policy, 60, tmp_path, max_skipped_in_a_row=2)
    before = {name: p.detach().clone() for name, p in policy.model.named_parameters()}

    def broken(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        return loss(terms)[0] * float("nan"), {}

    trainer.forward_backward(batch, broken)
    report = trainer.optimizer_step(1e-2)
    assert report.skipped == "the loss was nan"
    assert (report.version, trainer.skipped) == (0, 1)
    assert all(torch.equal(before[name], p) for name, p in policy.model.named_parameters())
    assert not gradient_of(policy)
    assert report.incident is not None and load_incident(report.incident) == batch
    assert {path.name for path in report.incident.iterdir()} == {
        "README.txt", "incident.json", "samples.json", "terms.safetensors",
    }  # fmt: skip
    trainer.forward_backward(batch, loss)
    assert trainer.optimizer_step(1e-2).skipped is None
    trainer.forward_backward(batch, broken)
    assert trainer.optimizer_step(1e-2).skipped is not None
    trainer.forward_backward(batch, broken)
    with pytest.raises(LearningError, match=r"2 updates in a row were skipped.*the loss was nan"):
        trainer.optimizer_step(1e-2)


def test_an_outlier_is_skipped_after_some_history(policy: Policy, samples: Samples, tmp_path: Path) -> None:
    batch = samples()
    trainer = trainer_of(policy, folder=tmp_path, outlier_factor=10.0)

    def scaled(factor: float) -> Callable[[TokenTerms], tuple[torch.Tensor, dict[str, Sum]]]:
        return lambda terms: (loss(terms)[0] * factor, {})

    for step in range(12):
        trainer.forward_backward(batch, scaled(1000.0 if step == 3 else 1.0))  # early: too little history to judge
        assert trainer.optimizer_step(1e-5).skipped is None
    trainer.forward_backward(batch, scaled(1000.0))
    report = trainer.optimizer_step(1e-5)
    assert report.skipped is not None and "times the median" in report.skipped
    trainer.forward_backward(batch, scaled(2.0))
    assert trainer.optimizer_step(1e-5).skipped is None


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError("no room"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("fails_at", [1, 3])
def test_out_of_memory_redoes_the_same_step(
    policy: Policy, samples: Samples, error: BaseException, fails_at: int
) -> None:
    batch = samples()
    trainer_of(policy).forward_backward(batch[4:], loss)
    expected = gradient_of(policy)
    policy.model.zero_grad()
    calls = 0

    def failing(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise error
        return loss(terms)

    trainer = trainer_of(policy, 60)
    with pytest.warns(UserWarning, match="at most 30 tokens"):
        trainer.forward_backward(batch[4:8], failing)  # an earlier part of the same step must be redone, too
        metrics = trainer.forward_backward(batch[8:], failing)
    assert calls > fails_at
    assert metrics["policy/entropy"].count == sum(len(sample.response_ids) for sample in batch[8:])
    assert (trainer.memory_halvings, trainer.tokens_per_micro_batch) == (1, 30)
    assert_same_gradient(gradient_of(policy), expected)


def test_out_of_memory_with_single_sequences_is_an_error(policy: Policy, samples: Samples) -> None:
    def hopeless(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        raise MemoryError("no room")

    with pytest.warns(UserWarning, match="Memory ran out"), pytest.raises(ModelError, match="single sequence"):
        trainer_of(policy, 40).forward_backward(samples(), hopeless)


def test_other_errors_pass(policy: Policy, samples: Samples) -> None:
    def wrong(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        trainer_of(policy).forward_backward(samples(), wrong)


def test_a_changed_budget_is_heeded_on_resuming(
    make_policy: Callable[[], Policy], samples: Samples, tmp_path: Path
) -> None:
    """What fitted after memory ran out is remembered as long as the same budget is asked for, and no longer."""
    attempts = []

    def short_of_memory(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
        attempts.append(len(terms.logprobs_N))
        if len(attempts) == 1:
            raise MemoryError
        return loss(terms)

    trainer = trainer_of(make_policy(), 80)
    with pytest.warns(UserWarning, match="Memory ran out"):
        trainer.forward_backward(samples(), short_of_memory)
    trainer.optimizer_step(1e-2)
    trainer.save(tmp_path)
    for asked, used in ((80, 40), (200, 200), (30, 30)):
        resumed = trainer_of(make_policy(), asked)
        resumed.load(tmp_path)
        assert (resumed.tokens_per_micro_batch, resumed.memory_halvings) == (used, 1)
    halved = Trainer(make_policy(), Optimizer(), BatchLimits(tokens_per_micro_batch=80).halved().halved())
    halved.load(tmp_path)
    assert (halved.tokens_per_micro_batch, halved.memory_halvings) == (20, 2), "for all ranks, since that checkpoint"
    halved.save(tmp_path)
    resumed = trainer_of(make_policy(), 80)
    resumed.load(tmp_path)
    assert (resumed.tokens_per_micro_batch, resumed.memory_halvings) == (20, 2)


def test_resumed_equals_uninterrupted_bit_for_bit(
    make_policy: Callable[[], Policy], samples: Samples, tmp_path: Path
) -> None:
    def steps(trainer: Trainer, first: int, last: int) -> None:
        for step in range(first, last):
            trainer.forward_backward(samples(seed=step), loss)
            trainer.optimizer_step(1e-2 / (step + 1))

    straight = trainer_of(make_policy(), 70)
    steps(straight, 0, 14)
    first = trainer_of(make_policy(), 70)
    steps(first, 0, 12)
    first.save(tmp_path)
    other = make_policy()
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(1.0)
    resumed = trainer_of(other, 70)
    pointers = {p.data_ptr() for p in other.model.parameters()}
    resumed.load(tmp_path)
    assert {p.data_ptr() for p in other.model.parameters()} == pointers  # an engine goes on reading the same tensors
    steps(resumed, 12, 14)
    assert resumed.version == straight.version == 14
    mine, theirs = dict(straight.weights()[1]), dict(resumed.weights()[1])
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    one, two = (t._updater.optimizer.state_dict()["state"] for t in (straight, resumed))
    assert one.keys() == two.keys() == set(range(len(mine)))
    for i in one:
        assert one[i].keys() == two[i].keys() and all(torch.equal(one[i][kind], two[i][kind]) for kind in one[i])
    assert straight._updater.guard.state() == resumed._updater.guard.state()
