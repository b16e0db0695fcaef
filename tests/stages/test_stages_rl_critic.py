"""PPO in the rl stage for real: killed at any moment, policy and critic go on bit for bit, and all of it is told.

Two runs of six steps and one more start of the killed one: to be killed a run has to be a process of its own.
"""

import json
import random
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ponder.watch.keys import find_key
from tests import command

TINY = (
    "stages.zero.problems=[{source: micro, tasks: [equation, science], count: 200}]",
    "stages.zero.held_out=null",
    "stages.zero.objective=ppo",
    "stages.zero.objective.gae_lambda=0.95",
    "stages.zero.critic.optimizer.lr=1e-3",
    "stages.zero.problems_per_step=2",
    "stages.zero.group_size=4",
    "stages.zero.updates_per_rollout=2",
    "stages.zero.steps=6",
    "stages.zero.checkpoint_every=2",
    "stages.zero.sampling.max_tokens=48",
    "stages.zero.optimizer={lr: 1e-4, warmup_steps: 2}",
)


def _run(out: Path) -> subprocess.CompletedProcess[str]:
    return command.run("run", "zero-micro", "--out", out, *TINY)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("ppo") / "run"
    done = _run(out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def _weights(out: Path, *where: str) -> dict[str, torch.Tensor]:
    return load_file(out.joinpath("stages", "zero", *where) / "model.safetensors")


def _critic(out: Path) -> dict[str, torch.Tensor]:
    return _weights(out, "checkpoints", "step-00000006", "critic", "model")


def _rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "stages" / "zero" / "metrics.jsonl").read_text().splitlines()]


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_killed_at_a_random_moment_both_models_are_the_same(uninterrupted: tuple[Path, str], tmp_path: Path) -> None:
    out, killed = tmp_path / "run", False
    process = command.start("run", "zero-micro", "--out", out, *TINY, session=True)
    metrics = out / "stages" / "zero" / "metrics.jsonl"
    while (not metrics.exists() or len(_rows(out)) < 3) and process.poll() is None:
        time.sleep(0.01)
    try:
        process.wait(timeout=random.Random(3).uniform(0, 0.5))
    except subprocess.TimeoutExpired:
        process.kill_all()
        killed = True
    assert killed, "the run ended before the kill"
    done = _run(out)
    assert done.returncode == 0, done.stdout + done.stderr
    whole, _ = uninterrupted
    assert _same(_weights(out, "model"), _weights(whole, "model"))
    assert _same(_critic(out), _critic(whole))
    for one, other in zip(_rows(out), _rows(whole), strict=True):
        assert {k: v for k, v in one.items() if k.startswith(("critic/", "loss/"))} == {
            k: v for k, v in other.items() if k.startswith(("critic/", "loss/"))
        }


def test_the_critic_learns_and_all_of_it_is_told(uninterrupted: tuple[Path, str]) -> None:
    out, said = uninterrupted
    assert "objective ppo: advantage gae" in said
    assert "begun as the policy, under a row of zeros; lambda 0.95, gamma 1, learning rate 0.001" in said
    rows = _rows(out)
    assert all(find_key(name) is not None for row in rows for name in row if name != "step")
    assert rows[0]["critic/value"] == 0.0 and rows[-1]["critic/value"] != 0.0
    assert {row["critic/lr"] for row in rows} == {1e-3} and {row["optimizer/lr"] for row in rows[2:]} == {1e-4}
    # A rollout is of two updates, and what it shows of the critic stands in the row of the first.
    told = [row["step"] for row in rows if "critic/explained_variance" in row]
    assert told == [1, 3, 5]
    assert all(row["loss/value"] > 0 and row["seconds/critic"] > 0 for row in rows)
