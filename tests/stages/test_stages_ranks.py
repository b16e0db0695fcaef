"""Stages trained by two processes: the run of one up to rounding, and the same bit for bit when they are lost."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from ponder.errors import RankError
from ponder.recipe.stages import PretrainStage, RewardModelStage, SftStage
from ponder.recipe.training import BatchLimits
from ponder.stages.again import going_on
from ponder.stages.context import Context, StageFunction
from ponder.stages.pretrain import run_pretrain
from ponder.stages.reward_model import run_reward_model
from ponder.stages.sft import run_sft
from ponder.watch import read_metrics
from tests import command
from tests.command import Command

TINY = (
    "stages.zero.problems=[{source: micro, tasks: [equation], count: 50}]",
    "stages.zero.problems_per_step=4",
    "stages.zero.group_size=4",
    "stages.zero.steps=2",
    "stages.zero.checkpoint_every=1",
    "stages.zero.sampling.max_tokens=48",
    "stages.zero.held_out=null",
    "stages.zero.precision=fp32",
)


def started(out: Path, *overrides: str) -> Command:
    return command.start("run", "zero-micro", "--out", out, *TINY, *overrides)


def rows(out: Path) -> list[dict[str, Any]]:
    path = out / "stages" / "zero" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "stages" / "zero" / "model" / "model.safetensors")


def ranks_of(process: Command) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "ponder.ranks.process" in child.cmdline()]


def test_two_ranks_lost_on_the_way_give_what_two_ranks_and_one_give(tmp_path: Path) -> None:
    one, two, lost = (tmp_path / name for name in ("one", "two", "lost"))
    for out, ranks in ((one, 1), (two, 2)):
        process = started(out, f"stages.zero.batch.ranks={ranks}")
        said = "".join(process.communicate())
        assert process.returncode == 0, said
    process = started(lost, "stages.zero.batch.ranks=2")
    while not rows(lost):
        assert process.poll() is None
        time.sleep(0.01)
    victim = ranks_of(process)[1]
    os.kill(victim.pid, signal.SIGKILL)
    said = "".join(process.communicate())
    assert process.returncode == 0, said
    assert "WARNING: A process, rank 1 of the 2" in said and "start again from the last checkpoint" in said
    expected, got, alone = weights(two), weights(lost), weights(one)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert all(torch.allclose(expected[name], alone[name], atol=1e-4) for name in expected)
    first, same = rows(one)[0], rows(two)[0]
    assert first["rollout/tokens"] == same["rollout/tokens"]
    for key in ("loss/policy", "policy/entropy", "optimizer/grad_norm"):
        assert same[key] == pytest.approx(first[key], rel=1e-4, abs=1e-6)
    assert "memory/rank_bytes" in same and "memory/rank_bytes" not in first
    checkpoint = sorted((two / "stages" / "zero" / "checkpoints").glob("step-*"))[-1]
    assert (checkpoint / "optimizer" / ".metadata").exists() and (checkpoint / "model" / "config.json").exists()


def trained(run: StageFunction, config: Any, folder: Path) -> list[dict[str, Any]]:
    """The metrics of a stage, without those of time and memory."""
    folder.mkdir()
    run(Context(config=config, name="it", folder=folder, seed=11, inputs={}, say=lambda line: None))
    kept = [dict(row) for row in read_metrics(folder)]
    return [{k: v for k, v in row.items() if not k.startswith(("seconds/", "speed/", "memory/"))} for row in kept]


SHAPE = {
    "model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 1024, "tie_word_embeddings": True,
}  # fmt: skip


def pretrain(ranks: int) -> PretrainStage:
    return PretrainStage.model_validate(
        {"architecture": SHAPE, "template": "r1", "tokens": 4000, "tokens_per_step": 2000, "held_out": None,
         "precision": "fp32", "batch": {"ranks": ranks}, "corpus": {"tokenizer_documents": 200}, "vocabulary": 1300}
    )  # fmt: skip


def sft(ranks: int) -> SftStage:
    return SftStage.model_validate(
        {"model": "micro", "template": "r1", "examples": [{"source": "micro", "tasks": ["equation"], "count": 16}],
         "batch_size": 8, "epochs": 1, "precision": "fp32", "optimizer": {"lr": 1e-3}, "batch": {"ranks": ranks}}
    )  # fmt: skip


def liked(ranks: int) -> RewardModelStage:
    return RewardModelStage.model_validate(
        {"model": "micro", "loss": "pairwise", "data": [{"source": "micro", "count": 30}], "batch_size": 12,
         "precision": "fp32", "optimizer": {"lr": 1e-4}, "batch": {"ranks": ranks, "tokens_per_micro_batch": 400}}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "config"),
    [(run_pretrain, pretrain), (run_sft, sft), (run_reward_model, liked)],
    ids=lambda one: one.__name__,
)
def test_documents_examples_and_preferences(run: StageFunction, config: Callable[[int], Any], tmp_path: Path) -> None:
    one, two = (trained(run, config(ranks), tmp_path / str(ranks)) for ranks in (1, 2))
    assert len(one) >= 2
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)
    mine, theirs = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("1", "2"))
    assert mine.keys() == theirs.keys() and all(torch.allclose(mine[name], theirs[name], atol=1e-4) for name in mine)


def context_of(folder: Path, said: list[str]) -> Context[Any]:
    class Config:
        batch = BatchLimits(tokens_per_micro_batch=100, ranks=2)

        def model_copy(self, update: dict[str, Any]) -> "Config":
            copy = Config()
            copy.batch = update["batch"]
            return copy

    return Context(config=Config(), name="zero", folder=folder, seed=1, inputs={}, say=said.append)


def test_memory_that_runs_out_halves_the_passes_of_all(tmp_path: Path) -> None:
    """As often as it helps; what the recipe asks for is known all the same, for what a checkpoint says."""
    seen: list[int] = []

    def run(context: Context[Any]) -> dict[str, int]:
        seen.append(context.config.batch.tokens_per_micro_batch)
        assert context.config.batch.asked == 100
        if len(seen) < 7:
            raise RankError("no memory.", "memory")
        return {"end": 1}

    said: list[str] = []
    assert going_on(context_of(tmp_path, said), run) == {"end": 1}
    assert seen == [100, 50, 25, 12, 6, 3, 1]
    assert said[1] == "zero: passes of at most 50 tokens from here on, which changes no result"


def test_memory_that_runs_out_in_passes_of_one_token_is_left_to_a_person(tmp_path: Path) -> None:
    seen: list[int] = []

    def run(context: Context[Any]) -> dict[str, int]:
        seen.append(context.config.batch.tokens_per_micro_batch)
        raise RankError("no memory.", "memory")

    with pytest.raises(RankError, match="no memory"):
        going_on(context_of(tmp_path, []), run)
    assert seen == [100, 50, 25, 12, 6, 3, 1]


@pytest.mark.parametrize(("checkpoints", "attempts"), [(0, 4), (2, 5)])
def test_losses_without_progress_are_left_to_a_person(tmp_path: Path, checkpoints: int, attempts: int) -> None:
    made = 0

    def run(context: Context[Any]) -> dict[str, int]:
        nonlocal made
        made += 1
        if made <= checkpoints:
            (tmp_path / "checkpoints" / f"step-{made:08d}").mkdir(parents=True)
        raise RankError("gone.", "gone")

    with pytest.raises(RankError, match=r"gone\. That was 4 times in a row .* The same command"):
        going_on(context_of(tmp_path, []), run)
    assert made == attempts


def test_a_fault_is_not_tried_again(tmp_path: Path) -> None:
    attempts: list[int] = []

    def run(context: Context[Any]) -> dict[str, int]:
        attempts.append(1)
        raise RankError("a fault")

    with pytest.raises(RankError, match="a fault"):
        going_on(context_of(tmp_path, []), run)
    assert len(attempts) == 1
