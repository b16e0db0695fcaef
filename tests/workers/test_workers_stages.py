"""Sampling and measuring by workers: the same replies and scores as in one process, whoever is killed meanwhile."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.watch.losses import read_losses
from ponder.workers.home import LocalHome

TEXT = """\
name: drawn
stages:
  data:
    kind: sample
    model: micro
    template: r1-zero
    problems: [{source: micro, tasks: [equation], count: 10, seed: 5}]
    samples: 4
    sampling: {temperature: 1.0, max_tokens: 48}
    precision: fp32
    engine: {workers: 2}
  scores:
    kind: evaluate
    models: [micro]
    template: r1-zero
    benchmarks: [sums.yaml]
    samples: 4
    precision: fp32
    engine: {workers: 1}
"""


def drawn(folder: Path, on: str | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replies of the sample stage, and completions and scores of the evaluate stage."""
    monkeypatch.chdir(folder)
    path = folder / "drawn.yaml"
    path.write_text(TEXT)
    (folder / "sums.jsonl").write_text("".join(f'{{"prompt": "{i} + 3", "answer": {i + 3}}}\n' for i in range(6)))
    (folder / "sums.yaml").write_text("name: sums\nmax_tokens: 24\nproblems: [{source: file, path: sums.jsonl}]\n")
    out = folder / f"out-{on}"
    run(load_recipe(path, ()), out, text=TEXT, on=on, say=lambda line: None)
    stages = out / "stages"
    assert not list(stages.rglob("*.safetensors")), "the weights that workers read are gone"
    rows = (stages / "data" / "requests" / "samples.jsonl").read_text().splitlines()
    files = sorted((stages / "scores" / "evaluation").glob("*.jsonl"))
    assert len(files) == 1
    return {
        "replies": sorted((one["id"], one["number"], one["text"]) for one in map(json.loads, rows)),
        "completions": [file.read_text() for file in files],
        "logs": sorted(str(one.relative_to(stages)) for one in stages.rglob("engine-*.log")),
    }


def test_the_same_is_drawn_by_workers_of_which_one_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = drawn(tmp_path, None, monkeypatch)
    assert here["logs"] == []
    killed: list[int] = []
    start = LocalHome.start

    def started(self: LocalHome, name: str, *given: Any) -> Any:
        place = start(self, name, *given)
        if not killed:
            killed.append(place.pids()[-1])
            os.kill(killed[0], signal.SIGKILL)
        return place

    monkeypatch.setattr(LocalHome, "start", started)
    placed = drawn(tmp_path, "local", monkeypatch)
    assert len(killed) == 1 and len(read_losses(tmp_path / "out-local" / "stages" / "data")) == 1
    assert len({Path(one).parts[2] for one in placed["logs"]}) == 2, "each model has engines of its own"
    assert placed["replies"] == here["replies"] and placed["completions"] == here["completions"]
