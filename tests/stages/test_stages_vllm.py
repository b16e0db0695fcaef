"""Stages whose completions vLLM draws: a run of all three kinds, and one that was killed and goes on."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ponder.recipe.rollout import has_vllm
from ponder.watch.rollouts import read_rollouts

pytestmark = [
    pytest.mark.scale,
    pytest.mark.timeout(900),  # each process loads vLLM first
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed: `make test-scale` installs it"),
]

RECIPE = """\
name: r
stages:
  zero:
    kind: rl
    model: micro
    precision: fp32
    problems: [{source: micro, tasks: [equation], count: 50}]
    held_out: {problems: [{source: micro, tasks: [equation], split: test, count: 8}], every: 2, samples: 2}
    problems_per_step: 4
    group_size: 4
    updates_per_rollout: 1
    steps: 4
    checkpoint_every: 1
    sampling: {max_tokens: 48}
    engine: {kind: vllm, max_slots: 32}
"""
AFTER = """\
  drawn:
    kind: sample
    model: zero
    problems: [{source: micro, tasks: [equation], count: 8}]
    samples: 4
    sampling: {max_tokens: 48}
    engine: {kind: vllm, max_slots: 32}
  score:
    kind: evaluate
    models: [zero, micro-student]
    benchmarks: [{folder}/few.yaml]
    engine: {kind: vllm, max_slots: 64}
"""


FEW = """\
name: few
samples: 2
max_tokens: 48
problems: [{source: micro, split: test, count: 16}]
"""


@contextmanager
def started(folder: Path, out: Path, text: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    file = folder / f"{out.name}.yaml"
    file.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "ponder.cli", "run", str(file), "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ran(folder: Path, out: Path, text: str, *options: str) -> str:
    with started(folder, out, text, *options) as process:
        said = process.communicate()[0]
    assert process.returncode == 0, said
    return said


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "stages" / "zero" / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "few.yaml").write_text(FEW)
    return folder / "whole", ran(folder, folder / "whole", RECIPE + AFTER.replace("{folder}", str(folder)))


def test_all_kinds_of_stages(whole: tuple[Path, str]) -> None:
    out, said = whole
    assert "engine: vllm" in said and "engine and trainer log-probs of" in said
    rows = [json.loads(line) for line in (out / "stages" / "zero" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert all(row["policy/mismatch"] < 1e-4 for row in rows if "policy/mismatch" in row)
    assert (out / "stages" / "drawn" / "examples.jsonl").read_text()
    files = (out / "stages" / "score" / "evaluation").glob("*--few.json")
    scores = [json.loads(file.read_text()) for file in files]
    assert len(scores) == 2 and all(one["provenance"]["engine"] == "vllm" for one in scores)


def test_a_killed_stage_goes_on_bit_for_bit(whole: tuple[Path, str], tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    checkpoint = killed / "stages" / "zero" / "checkpoints" / "step-00000002"
    with started(tmp_path, killed, RECIPE) as process:
        while not checkpoint.exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
    assert "going on after step 2" in ran(tmp_path, killed, RECIPE)
    expected, got = weights(whole[0]), weights(killed)
    assert all(torch.equal(expected[name], got[name]) for name in expected)


@pytest.mark.slow
def test_an_engine_in_a_process_of_its_own_draws_ahead(tmp_path: Path) -> None:
    """Each rollout by the weights of the one before, and a run that was killed ends with the same bytes."""
    text = RECIPE.replace("max_slots: 32}", "max_slots: 32, workers: 1, lag: 1}").replace("every: 2", "every: 4")
    said = ran(tmp_path, tmp_path / "whole", text, "--on", "local")
    assert "1 engine of kind vllm in processes of their own" in said and "lag 1: each rollout" in said
    stage = tmp_path / "whole" / "stages" / "zero"
    rows = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()][1:]
    assert [row["policy/staleness"] for row in rows] == [0, 1, 1, 1]
    drawn_by = {one.step: one.rollout.completion.weight_version for one in read_rollouts(stage)}
    assert drawn_by == {1: 0, 2: 0, 3: 1, 4: 2}
    assert rows[0]["policy/mismatch"] < 1e-4

    killed = tmp_path / "killed"
    checkpoint = killed / "stages" / "zero" / "checkpoints" / "step-00000002"
    with started(tmp_path, killed, text, "--on", "local") as process:
        while not checkpoint.exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
    ran(tmp_path, killed, text, "--on", "local")
    expected, got = weights(tmp_path / "whole"), weights(killed)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
