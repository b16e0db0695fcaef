"""Two processes against one: the same gradients, metrics, guard and checkpoints, whoever has how much to do."""

import os
import random
import signal
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import ARCHITECTURES
from tokenizers import Tokenizer, models
from torch.distributed import checkpoint
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ponder.algorithm import metric_values, next_token_loss, policy_loss
from ponder.errors import RankError
from ponder.policy import Policy, random_policy
from ponder.ranks.block import WeightBlock
from ponder.recipe.objective import PRESETS, Objective
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import AnyTrainer, Loss, Sample, Trainer, load_incident
from ponder.train.group import TrainerGroup
from ponder.train.packing import rounds

TIED = ARCHITECTURES["qwen2"]
GRPO: Loss = partial(policy_loss, objective=Objective(preset="grpo"))
BUDGET = 100


def policy_of(architecture: dict[str, object], precision: str = "fp32") -> Policy:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(61))]  # 63 rows do not divide by two
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<eos>", pad_token="<pad>")
    return random_policy(architecture, tokenizer, "r1-zero", seed=5, precision=precision, device="cpu")  # type: ignore[arg-type]


def trainer_of(ranks: int, folder: Path, architecture: dict[str, object] = TIED, precision: str = "fp32") -> AnyTrainer:
    """Gradients are not clipped, so the first moment after one update is a tenth of them."""
    limits = BatchLimits(tokens_per_micro_batch=BUDGET, logprob_chunk=16, ranks=ranks)
    optimizer = Optimizer(lr=1e-2, max_grad_norm=1e9, betas=(0.9, 0.95))
    policy = policy_of(architecture, precision)
    if ranks == 1:
        return Trainer(policy, optimizer, limits, incident_folder=folder / "incidents")
    return TrainerGroup(policy, optimizer, limits, folder / "incidents")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`home / start` is a checkpoint of no update."""
    folder = tmp_path_factory.mktemp("ranks")
    saved(trainer_of(1, folder), folder / "start")
    return folder


@pytest.fixture(scope="module")
def two(home: Path) -> Iterator[TrainerGroup]:
    group = trainer_of(2, home)
    assert isinstance(group, TrainerGroup)
    yield group
    group.close()


@pytest.fixture
def fresh(two: TrainerGroup, home: Path) -> TrainerGroup:
    two.load(home / "start")
    return two


def saved(trainer: AnyTrainer, folder: Path) -> Path:
    folder.mkdir()
    trainer.save(folder)
    return folder


def moments_in(folder: Path) -> dict[str, torch.Tensor]:
    """The optimizer's state, read without ponder."""
    if (folder / "optimizer.safetensors").exists():
        return load_file(folder / "optimizer.safetensors")
    stored = checkpoint.FileSystemReader(folder / "optimizer").read_metadata().state_dict_metadata
    state = {name: torch.empty(one.size) for name, one in stored.items()}
    with warnings.catch_warnings(action="ignore"):
        checkpoint.load(state, checkpoint_id=folder / "optimizer", no_dist=True)
    return state


def gradient_after(trainer: AnyTrainer, folder: Path) -> torch.Tensor:
    moments = moments_in(saved(trainer, folder))
    return torch.cat([moments[name].flatten() for name in sorted(moments) if name.startswith("exp_avg/")]) * 10


def groups_of(sizes: list[tuple[int, int, int]], seed: int = 0) -> list[Sample]:
    """A group for each (prompt tokens, responses, tokens of each)."""
    draw = random.Random(seed)
    samples = []
    for group, (prompt, count, length) in enumerate(sizes):
        ids = tuple(draw.randrange(2, 60) for _ in range(prompt))
        for _ in range(count):
            samples.append(
                Sample(
                    prompt_ids=ids,
                    response_ids=tuple(draw.randrange(2, 60) for _ in range(length)),
                    group=f"g{group}",
                    weight=1 / (sum(n for _, n, _ in sizes) * length),
                    advantage=draw.uniform(-2, 2),
                    behaviour=tuple(draw.uniform(-4.5, -3.5) for _ in range(length)),
                    reference=tuple(draw.uniform(-4.5, -3.5) for _ in range(length)),
                )
            )
    return samples


EVEN = groups_of([(9, 4, 7), (3, 4, 5), (12, 3, 9), (5, 5, 4), (8, 2, 11), (9, 6, 12), (4, 3, 20)])
ODD = groups_of([(20, 1, 45)] * 3)
SEVEN_TO_ONE = groups_of([*[(3, 2, 5)] * 7, (10, 5, 17)])
ONE_ALONE = groups_of([(6, 1, 9)])
DEALT = {"even": EVEN, "seven to one": SEVEN_TO_ONE, "odd": ODD, "one alone": ONE_ALONE}


def groups_by_rank(samples: list[Sample]) -> list[list[int]]:
    return [[len({samples[i].group for i in members}) for members in one] for one in rounds(samples, BUDGET, 2)]


def test_the_cases_are_what_they_say() -> None:
    assert groups_by_rank(SEVEN_TO_ONE) in ([[7, 1]], [[1, 7]])
    assert groups_by_rank(ONE_ALONE) == [[1, 0]]
    assert groups_by_rank(ODD) == [[1, 1], [1, 0]]
    assert len(groups_by_rank(EVEN)) > 1 and all(all(one) for one in groups_by_rank(EVEN))


def assert_the_same_update(one: AnyTrainer, other: AnyTrainer, samples: list[Sample], loss: Loss, home: Path) -> None:
    """In passes of the same samples, or in float32: elsewhere rounding is larger."""
    measured = [metric_values(trainer.forward_backward(samples, loss)) for trainer in (one, other)]
    assert measured[1] == pytest.approx(measured[0], rel=1e-6, abs=1e-6)
    reports = [trainer.optimizer_step(1e-3) for trainer in (one, other)]
    assert reports[1].grad_norm == pytest.approx(reports[0].grad_norm, rel=5e-6)
    assert reports[0].skipped is reports[1].skipped is None
    mine, theirs = (gradient_after(trainer, home / name) for trainer, name in ((one, "mine"), (other, "theirs")))
    assert mine.norm() > 0.01
    assert float((mine - theirs).norm() / mine.norm()) < 5e-6


@pytest.mark.parametrize(
    ("preset", "dealt"),
    [*((name, "seven to one") for name in sorted(PRESETS)), *(("gspo", name) for name in ("even", "odd", "one alone"))],
)
def test_gradient_and_metrics_of_every_preset(preset: str, dealt: str, fresh: TrainerGroup, tmp_path: Path) -> None:
    loss = partial(policy_loss, objective=Objective.model_validate({"preset": preset}))
    assert_the_same_update(trainer_of(1, tmp_path), fresh, DEALT[dealt], loss, tmp_path)


def test_next_token_loss(fresh: TrainerGroup, tmp_path: Path) -> None:
    assert_the_same_update(trainer_of(1, tmp_path), fresh, EVEN, next_token_loss, tmp_path)


def test_logprobs_frozen_weights_and_published_ones(fresh: TrainerGroup, home: Path, tmp_path: Path) -> None:
    one = trainer_of(1, tmp_path)
    before = fresh.logprobs(EVEN)
    assert torch.allclose(torch.cat(one.logprobs(EVEN)), torch.cat(before), atol=1e-5)
    fresh.temperature = 0.5
    assert not torch.allclose(before[0], fresh.logprobs(EVEN)[0])
    fresh.temperature = 1.0
    fresh.freeze()
    for trainer in (one, fresh):
        trainer.forward_backward(EVEN, GRPO)
        trainer.optimizer_step(1e-2)
    assert all(torch.equal(a, b) for a, b in zip(before, fresh.logprobs(EVEN, frozen=True), strict=True))
    moved = torch.cat(fresh.logprobs(EVEN))
    assert torch.allclose(moved, torch.cat(one.logprobs(EVEN)), atol=1e-5)
    assert not torch.allclose(moved, torch.cat(before), atol=1e-2)
    fresh.save_frozen(tmp_path / "frozen")
    fresh.freeze()
    assert torch.equal(torch.cat(fresh.logprobs(EVEN, frozen=True)), moved)
    fresh.load_frozen(tmp_path / "frozen")
    assert torch.equal(torch.cat(fresh.logprobs(EVEN, frozen=True)), torch.cat(before))
    assert torch.equal(torch.cat(fresh.logprobs(EVEN)), moved)  # the trained weights are as they were
    mine, theirs = dict(one.weights()[1]), dict(fresh.weights()[1])
    assert mine.keys() == theirs.keys() and fresh.version == one.version == 1
    assert_near(mine, theirs)


def assert_near(mine: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """All but a few weights: the first step of AdamW is g / |g|, so a gradient that is all rounding goes anywhere."""
    apart = torch.cat([(mine[name] - theirs[name]).abs().flatten() for name in mine])
    assert (apart > 1e-5).float().mean() < 1e-3


def updated(trainer: AnyTrainer, *seeds: int) -> None:
    for seed in seeds:
        trainer.forward_backward(groups_of([(9, 4, 7), (3, 4, 5), (12, 3, 9)], seed), GRPO)
        assert trainer.optimizer_step(3e-3).skipped is None


def assert_same_files(one: Path, other: Path) -> None:
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (one, other)]
    moments = [moments_in(folder) for folder in (one, other)]
    for mine, theirs in (weights, moments):
        assert mine.keys() == theirs.keys() and mine
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert (one / "trainer_state.json").read_bytes() == (other / "trainer_state.json").read_bytes()


def test_from_any_number_of_ranks_to_any_other(fresh: TrainerGroup, tmp_path: Path) -> None:
    updated(fresh, 1, 2)
    middle = saved(fresh, tmp_path / "middle")
    assert (middle / "optimizer").is_dir() and not (middle / "optimizer.safetensors").exists()
    plain = AutoModelForCausalLM.from_pretrained(middle / "model")
    weights = dict(plain.named_parameters())
    assert all(torch.equal(weights[name], tensor) for name, tensor in fresh.weights()[1])
    updated(fresh, 3, 4)
    straight = saved(fresh, tmp_path / "straight")
    fresh.load(middle)
    updated(fresh, 3, 4)
    assert_same_files(straight, saved(fresh, tmp_path / "resumed"))

    one = trainer_of(1, tmp_path)
    one.load(middle)
    alone = saved(one, tmp_path / "alone")
    assert_same_files(middle, alone)
    fresh.load(alone)
    assert_same_files(middle, saved(fresh, tmp_path / "back"))
    three = trainer_of(3, tmp_path)
    try:
        three.load(middle)
        assert_same_files(middle, saved(three, tmp_path / "three"))
        updated(three, 3)
        updated(one, 3)
        mine, theirs = dict(one.weights()[1]), dict(three.weights()[1])
        assert_near(mine, theirs)
    finally:
        three.close()


def test_all_ranks_skip_or_none(fresh: TrainerGroup, tmp_path: Path, home: Path) -> None:
    before = {name: tensor.clone() for name, tensor in fresh.weights()[1]}
    broken = [*EVEN[:-1], Sample(**{**sample_fields(EVEN[-1]), "advantage": float("nan")})]  # type: ignore[arg-type]
    fresh.forward_backward(broken, GRPO)
    report = fresh.optimizer_step(1e-2)
    assert report.skipped is not None and "nan" in report.skipped and fresh.skipped == 1 and fresh.version == 0
    assert report.incident is not None
    assert [s.response_ids for s in load_incident(report.incident)] == [s.response_ids for s in broken]
    terms = load_file(report.incident / "terms.safetensors")
    seen = [int(i) for name, tensor in terms.items() if name.endswith("sample_N") for i in tensor.unique()]
    assert sorted(seen) == list(range(len(broken)))  # of both ranks
    assert all(torch.equal(before[name], tensor) for name, tensor in fresh.weights()[1])
    updated(fresh, 1)
    assert fresh.version == 1


def sample_fields(sample: Sample) -> dict[str, object]:
    return {name: getattr(sample, name) for name in Sample.__dataclass_fields__}


def test_experts_and_products_in_bf16(tmp_path: Path) -> None:
    one, two = (trainer_of(ranks, tmp_path, ARCHITECTURES["deepseek_v3"], "bf16") for ranks in (1, 2))
    try:
        for trainer in (one, two):
            trainer.freeze()
        frozen = torch.cat(two.logprobs(SEVEN_TO_ONE, frozen=True))
        assert torch.allclose(torch.cat(one.logprobs(SEVEN_TO_ONE)), frozen, atol=1e-6)
        assert_the_same_update(one, two, SEVEN_TO_ONE, GRPO, tmp_path)
    finally:
        two.close()


def test_ranks_that_do_not_start_leave_no_weights_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[WeightBlock] = []
    made = WeightBlock.of
    monkeypatch.setattr(WeightBlock, "of", lambda model: (blocks.append(made(model)), blocks[-1])[1])
    monkeypatch.setattr("ponder.train.rank_group._MAKER", "nowhere:Rank")
    with pytest.raises(RankError, match="No module named 'nowhere'"):
        TrainerGroup(policy_of(TIED), Optimizer(), BatchLimits(ranks=2), tmp_path)
    assert [block.descriptor for block in blocks] == [-1]


def test_a_rank_that_is_gone_ends_all_with_a_paragraph(two: TrainerGroup) -> None:
    """The last test of this file: it takes the processes with it."""
    pids = two.pids
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(RankError, match=r"rank 1 of the 2 processes .* ended by SIGKILL during logprobs"):
        two.logprobs(EVEN)
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)
