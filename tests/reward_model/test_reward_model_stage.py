"""The stage for real: it learns, keeps prompts apart, survives kills, and its scorer pays in RL."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from preference_data import label_rows, pair_rows, write_rows
from safetensors.torch import load_file

from ponder.errors import DataError, RecipeError
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.report import show_run
from ponder.watch.metrics import read_metrics
from tests import command

PAIRS = """\
name: taste
stages:
  helpful:
    kind: reward_model
    model: micro
    loss: pairwise
    data: [{source: file, path: PAIRS}]
    batch_size: 12
    held_out_share: 0.2
    max_tokens: 200
    checkpoint_every: 2
    optimizer: {lr: 3.0e-4}
"""
LABELS = """\
  safe:
    kind: reward_model
    model: micro
    loss: pointwise
    data: [{source: file, path: LABELS}]
    epochs: 3
    batch_size: 15
    held_out_share: 0.2
    optimizer: {lr: 3.0e-4}
"""
RL = """\
  r1:
    kind: rl
    model: micro
    problems:
      - {source: micro, tasks: [equation], count: 40}
      - {source: file, path: GENERAL, gold: null, columns: {route: route}, from_step: 1}
    rewards: {accuracy: 1, format: 1, language: 1}
    reward_schedule: {preference: [{from_step: 1, weight: 1}]}
    reward_models: {helpful: helpful, safety: safe}
    objective: {preset: grpo, entropy_coefficient: 0.001}
    steps: 3
    problems_per_step: 3
    group_size: 2
    sampling: {max_tokens: 32}
    checkpoint_every: 1
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taste")
    write_rows(folder / "pairs.jsonl", pair_rows(90))
    write_rows(folder / "labels.jsonl", label_rows(150))
    general = [{"prompt": f"Tell me of {i}.", "route": ("helpful", "safety")[i % 2]} for i in range(20)]
    write_rows(folder / "general.jsonl", [dict(row) for row in general])
    return folder


def written(folder: Path, text: str) -> Path:
    for word in ("PAIRS", "LABELS", "GENERAL"):
        text = text.replace(word, str(folder / f"{word.lower()}.jsonl"))
    path = folder / "taste.yaml"
    path.write_text(text)
    return path


def start(path: Path, out: Path, *overrides: str, smoke: bool = False) -> list[str]:
    said: list[str] = []
    run(load_recipe(path, overrides), out, text=path.read_text(), overrides=overrides, smoke=smoke, say=said.append)
    return said


@pytest.fixture(scope="module")
def finished(workplace: Path) -> Path:
    start(written(workplace, PAIRS + LABELS), workplace / "run")
    return workplace / "run"


@pytest.mark.parametrize("stage", ["helpful", "safe"])
def test_it_learns(finished: Path, stage: str) -> None:
    folder = finished / "stages" / stage
    quality = json.loads((folder / "held_out.json").read_text())
    assert quality["accuracy"] > 0.9, quality
    assert json.loads((folder / "manifest.json").read_text())["results"]["held_out"] == quality
    saved = json.loads((folder / "model" / "ponder_scorer.json").read_text())
    assert saved["scope"] == ("answer" if stage == "helpful" else "response")
    assert saved["mean"] == quality["mean"] and saved["even"] == (quality["mean"] if stage == "helpful" else 0)
    rows = read_metrics(folder)
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert rows[0]["scorer/accuracy"] is not None and rows[-1]["scorer/accuracy"] == quality["accuracy"]
    if stage == "safe":
        assert quality["auc"] > 0.9


def test_show_prints_the_calibration(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(finished)
    assert "held-out rows" in capsys.readouterr().out
    show_run(finished, as_json=True)
    assert json.loads(capsys.readouterr().out)["stages"]["helpful"]["held_out"]["rows"] > 0


def test_preferences_are_paid_in_rl_and_a_killed_run_ends_the_same(finished: Path, workplace: Path) -> None:
    path = written(workplace, PAIRS + LABELS + RL)
    said = start(path, finished)
    assert any("reward model safe (pointwise, sees the response) judges the route safety" in line for line in said)
    folder = finished / "stages" / "r1"
    lines = [json.loads(line) for line in (folder / "rollouts" / "rollouts-000000.jsonl").read_text().splitlines()]
    for line in lines:
        general = line["problem"]["route"] != "reasoning"
        assert (line["rewards"]["preference"] is not None) == general
        assert (line["rewards"]["accuracy"] is None) == general
        paid = [value for value in line["rewards"].values() if value is not None]
        assert line["reward"] == pytest.approx(sum(paid))
    assert {line["problem"]["route"] for line in lines if line["step"] == 1} == {"reasoning"}
    assert {line["problem"]["route"] for line in lines if line["step"] > 1} > {"reasoning"}
    assert "reward/preference" not in read_metrics(folder)[0] and "reward/preference" in read_metrics(folder)[-1]

    before = load_file(folder / "model" / "model.safetensors")
    texts = (folder / "rollouts" / "rollouts-000000.jsonl").read_bytes()
    undo(folder, "step-00000003")
    start(path, finished)
    after = load_file(folder / "model" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (folder / "rollouts" / "rollouts-000000.jsonl").read_bytes() == texts


def undo(folder: Path, newest: str) -> None:
    """As if the stage had been killed after the checkpoint before the newest one."""
    import shutil

    shutil.rmtree(folder / "checkpoints" / newest)
    shutil.rmtree(folder / "model")
    (folder / "done").unlink()


def test_a_killed_reward_model_ends_with_the_same_weights(workplace: Path, finished: Path, tmp_path: Path) -> None:
    """Killed for real, at a moment that is drawn, then run again by the same command."""
    path = written(tmp_path, PAIRS.replace("PAIRS", str(workplace / "pairs.jsonl")))
    out = tmp_path / "run"
    process = command.start("run", path, "--out", out, session=True)
    wanted = random.Random(1).choice([2, 4])
    while process.poll() is None and not (out / f"stages/helpful/checkpoints/step-{wanted:08d}").exists():
        pass
    process.kill_all()
    assert not (out / "stages" / "helpful" / "done").exists(), "the run ended before it was killed"
    start(path, out)
    for name in ("model/model.safetensors", "model/ponder_scorer.json", "held_out.json"):
        got, expected = (one / "stages" / "helpful" / name for one in (out, finished))
        assert got.read_bytes() == expected.read_bytes(), name
    losses = [[row.get("loss/scorer") for row in read_metrics(one / "stages" / "helpful")] for one in (out, finished)]
    assert losses[0] == losses[1]


def test_smoke_tries_every_stage_offline(workplace: Path, tmp_path: Path) -> None:
    start(written(tmp_path, PAIRS + LABELS + RL), tmp_path / "out", smoke=True)
    rows = read_metrics(tmp_path / "out" / "stages" / "r1")
    assert len(rows) == 2 and "reward/preference" in rows[0]


@pytest.mark.parametrize(
    ("overrides", "kind", "words"),
    [
        (["stages.helpful.max_tokens=20"], DataError, "no row to train on: .* are longer than 20 tokens"),
        (["stages.helpful.loss=pointwise"], DataError, "no column 'response'"),
        (
            [f"stages.helpful.{key}=[{{source: micro, count: 30}}]" for key in ("data", "held_out")],
            DataError,
            "prompts of all 30 rows are held out.*`held_out` reads the same questions .* another split, seed or file",
        ),
        (["stages.helpful.data=[{source: file, path: nowhere.jsonl}]"], DataError, "does not exist"),
        (["stages.helpful.data=[{source: stage, stage: made}]"], RecipeError, "'made', which is not a stage"),
        (["stages.helpful.loss=listwise"], RecipeError, "expected 'pairwise' or 'pointwise'"),
    ],
)
def test_bad_input(workplace: Path, tmp_path: Path, overrides: list[str], kind: type[Exception], words: str) -> None:
    path = written(tmp_path, PAIRS.replace("PAIRS", str(workplace / "pairs.jsonl")))
    with pytest.raises(kind, match=words):
        start(path, tmp_path / "out", *overrides)


def test_labels_of_one_kind_teach_nothing(tmp_path: Path) -> None:
    safe = [row for row in label_rows(60) if row["safe"]]
    write_rows(tmp_path / "labels.jsonl", safe)
    path = written(tmp_path, "name: alike\nstages:\n" + LABELS)
    with pytest.raises(DataError, match=r"all \d+ responses to train on are safe\. Add unsafe ones"):
        start(path, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("helpful: helpful,", "helpful: other,"), "needs a stage of kind `reward_model`"),
        (
            lambda text: text.replace("    model: micro\n    problems", "    model: safe\n    problems"),
            "a model that writes",
        ),
    ],
)
def test_scorers_and_writers_are_told_apart(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    other = "  other: {kind: rl, model: micro, problems: [{source: micro}], steps: 1}\n"
    path = written(tmp_path, change(PAIRS + LABELS + RL) + other)
    with pytest.raises(RecipeError, match=words):
        load_recipe(path)


def test_a_scorer_for_the_other_route_is_refused(finished: Path, workplace: Path) -> None:
    swapped: Any = written(workplace, PAIRS + LABELS + RL.replace("r1:", "swapped:"))
    routes = "stages.swapped.reward_models={helpful: safe, safety: helpful}"
    with pytest.raises(Exception, match=r"scores the response .* one is needed that scores the answer"):
        start(swapped, finished, routes)
