"""The rl stage for real: it learns, it survives being killed at any moment, and it says what is wrong."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import command

REPOSITORY = Path(__file__).parents[2]
RECIPE = REPOSITORY / "ponder" / "recipes" / "zero-micro.yaml"
TINY = (
    "stages.zero.problems=[{source: micro, tasks: [equation, science], count: 200}]",
    "stages.zero.problems_per_step=4",
    "stages.zero.group_size=4",
    "stages.zero.steps=6",
    "stages.zero.checkpoint_every=2",
    "stages.zero.sampling.max_tokens=96",
    "stages.zero.held_out.problems=[{source: micro, split: test, tasks: [equation], count: 4}]",
    "stages.zero.held_out.samples=2",
    "stages.zero.held_out.every=3",
)


def _run(out: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return command.run("run", RECIPE, "--out", out, *overrides)


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "stages" / "zero" / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    done = _run(out, *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def _steps(out: Path) -> int:
    metrics = out / "stages" / "zero" / "metrics.jsonl"
    return len(metrics.read_text().splitlines()) if metrics.exists() else 0


def test_killed_at_random_moments_the_run_ends_with_the_same_weights(uninterrupted: Path, tmp_path: Path) -> None:
    """Three kills, each at a random moment after a random number of the six steps, however fast the machine is; the
    last life is an interpreter of its own, which has another seed of `hash`."""
    rng, out, kills = random.Random(0), tmp_path / "run", 0
    for steps in sorted(rng.sample(range(5), 3)):
        process = command.start("run", RECIPE, "--out", out, *TINY, session=True)
        while _steps(out) < steps and process.poll() is None:
            time.sleep(0.01)
        try:
            process.wait(timeout=rng.uniform(0, 0.8))
        except subprocess.TimeoutExpired:
            process.kill_all()
            kills += 1
    assert kills, "the run ended before the first kill"
    interpreter = [sys.executable, "-m", "ponder.cli", "run", str(RECIPE), "--out", str(out), *TINY]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(interpreter, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    expected, got = _weights(uninterrupted), _weights(out)
    assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in expected)
    stage = out / "stages" / "zero"
    steps = [json.loads(line)["step"] for line in (stage / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(7))
    assert _texts(stage) == _texts(uninterrupted / "stages" / "zero")
    assert not list(out.rglob(".tmp*")), "something is left behind"


def _texts(stage: Path) -> list[str]:
    lines = [line for path in sorted((stage / "rollouts").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line)["text"] for line in lines]


def test_a_finished_stage_is_not_run_again(uninterrupted: Path) -> None:
    before = (uninterrupted / "stages" / "zero" / "model" / "model.safetensors").stat().st_mtime_ns
    start = time.monotonic()
    done = _run(uninterrupted, *TINY)
    assert done.returncode == 0 and "skipped" in done.stdout and time.monotonic() - start < 60
    assert (uninterrupted / "stages" / "zero" / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_in_the_same_folder_are_refused(uninterrupted: Path) -> None:
    done = _run(uninterrupted, *TINY, "stages.zero.optimizer.lr=0.5")
    assert done.returncode == 1
    assert "optimizer.lr" in done.stderr and "--redo zero" in done.stderr and "Traceback" not in done.stderr


def test_show_prints_start_and_end(uninterrupted: Path) -> None:
    shown = command.run("show", uninterrupted, "--json")
    stage = json.loads(shown.stdout)["stages"]["zero"]
    assert stage["status"] == "done" and stage["seconds"] > 0
    names = {"pass@1", "pass@1_interval", "cons@16", "mean_tokens", "reflection_per_1k_tokens", "language_consistency"}
    for moment in ("start", "end"):
        assert names | {"format_ok", "truncated"} <= stage[moment].keys()
    assert (uninterrupted / "report.html").stat().st_size > 10_000


def test_a_base_that_is_never_right_is_stopped_once(tmp_path: Path) -> None:
    """After 256 completions without one right answer; the same command goes on from the checkpoint of that step."""
    rows = [{"prompt": f"Name the {n}th word of the old book.", "answer": f"{n}1234567"} for n in range(40)]
    (tmp_path / "hard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hopeless = (
        f"stages.zero.problems=[{{source: file, path: '{tmp_path / 'hard.jsonl'}'}}]",
        "stages.zero.problems_per_step=16",
        "stages.zero.group_size=16",
        "stages.zero.sampling.max_tokens=8",
        "stages.zero.rewards={accuracy: 1}",
        "stages.zero.held_out=null",
        "stages.zero.steps=3",
        "stages.zero.checkpoint_every=100",
    )
    stopped = _run(tmp_path / "run", *hopeless)
    words = " ".join(stopped.stderr.split())
    assert stopped.returncode == 1 and "zero: nothing to learn from: of 256 completions none was right" in words
    assert "Traceback" not in stopped.stderr and _steps(tmp_path / "run") == 1
    again = _run(tmp_path / "run", *hopeless)
    assert again.returncode == 0, again.stdout + again.stderr
    stage = tmp_path / "run" / "stages" / "zero"
    steps = [json.loads(line)["step"] for line in (stage / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3], "the first step was not sampled again"


@pytest.mark.slow
def test_pure_reinforcement_learning_raises_accuracy(tmp_path: Path) -> None:
    done = _run(
        tmp_path / "run",
        "stages.zero.problems=[{source: micro, tasks: [equation, science], count: 400}]",
        "stages.zero.held_out.problems=[{source: micro, split: test, tasks: [equation, science], count: 40}]",
        "stages.zero.held_out.samples=8",
        "stages.zero.held_out.every=null",
        "stages.zero.problems_per_step=8",
        "stages.zero.group_size=16",
        "stages.zero.steps=12",
        "stages.zero.sampling.max_tokens=160",
        "stages.zero.optimizer.lr=2.0e-4",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((tmp_path / "run" / "stages" / "zero" / "manifest.json").read_text())
    start, end = manifest["results"]["start"], manifest["results"]["end"]
    assert end["pass@1_interval"][0] > start["pass@1_interval"][1], (start["pass@1"], end["pass@1"])
    assert end["mean_tokens"] > start["mean_tokens"]
