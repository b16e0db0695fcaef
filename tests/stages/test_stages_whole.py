"""One recipe with a stage of every kind but pretrain: what each stage leaves is what the next one reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import RecipeError
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.watch.rollouts import rollout_files

TEXT = """\
name: whole
stages:
  zero:
    {kind: rl, model: micro, problems: [{source: micro, count: 40}], steps: 2}
  cold_data:
    kind: sample
    model: zero
    problems: [{source: micro, count: 16, seed: 2}]
    keep: {correct: true, readable: {}, distinct: 2}
    rewrite: {by: {kind: rule}, language: true, summary: true}
  cold_start:
    kind: sft
    preset: cold-start
    model: micro
    examples: [{source: stage, stage: cold_data}, {source: micro, tasks: [greeting, fact], count: 40}]
    max_tokens: 512
  pairs:
    {kind: sample, output: pairs, model: cold_start, problems: [{source: micro, tasks: [greeting, fact], count: 16}]}
  labels:
    {kind: sample, output: labels, model: cold_start, problems: [{source: micro, tasks: [unsafe], count: 16}]}
  helpful: {kind: reward_model, model: cold_start, loss: pairwise, data: [{source: stage, stage: pairs}]}
  safe: {kind: reward_model, model: cold_start, loss: pointwise, data: [{source: stage, stage: labels}]}
  r1:
    kind: rl
    model: cold_start
    problems:
      - {source: micro, count: 40}
      - {source: micro, tasks: [greeting, unsafe], count: 40, seed: 6, from_step: 2}
    rewards: {accuracy: 1, format: 1, language: 1}
    reward_schedule: {preference: [{from_step: 2, weight: 1}]}
    reward_models: {helpful: helpful, safety: safe}
    steps: 3
  scores:
    kind: evaluate
    models: [micro, zero, cold_start, r1]
    benchmarks: [micro-reasoning, micro-general, micro-safety]
    baseline: cold_start
  report: {kind: report, stages: [zero, cold_start, r1, scores]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    go(folder, folder / "out")
    return folder / "out"


def go(folder: Path, out: Path, text: str = TEXT) -> None:
    path = folder / "whole.yaml"
    path.write_text(text)
    run(load_recipe(path), out, text=text, smoke=True, say=lambda line: None)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(out: Path, stage: str) -> dict[str, Any]:
    found = json.loads((out / "stages" / stage / "manifest.json").read_text())["results"]
    assert isinstance(found, dict)
    return found


def test_examples_are_learnt(made: Path) -> None:
    kept = rows(made / "stages" / "cold_data" / "examples.jsonl")
    data = results(made, "cold_start")["data"]
    read = data["sources"]["cold_data"] + data["validation"] + data["left_out"]
    assert len(kept) == results(made, "cold_data")["kept"] <= read and data["sources"]["cold_data"] > 0


def test_pairs_and_labels_make_scorers_that_pay(made: Path) -> None:
    for maker, scorer in (("pairs", "helpful"), ("labels", "safe")):
        kept = rows(made / "stages" / maker / f"{maker}.jsonl")
        found = results(made, scorer)
        used = found["trained_on"] + found["held_out"]["rows"] + found["left_out"]
        assert len(kept) == used - 32 > 0  # and as many rows of the embedded world
    paid = {"reasoning": "accuracy", "helpful": "preference", "safety": "preference"}
    for path in rollout_files(made / "stages" / "r1"):
        for one in rows(path):
            by_route = {name: one["rewards"][name] is not None for name in ("accuracy", "preference")}
            assert by_route == {name: name == paid[one["problem"]["route"]] for name in by_route}, one["rewards"]


def test_every_model_is_scored_and_reported(made: Path) -> None:
    scored = results(made, "scores")
    assert [Path(name).name for name in scored] == ["micro", "zero", "cold_start", "r1"]
    for by_benchmark in scored.values():
        assert [Path(name).stem for name in by_benchmark] == ["micro-reasoning", "micro-general", "micro-safety"]
    rates = json.loads((made / "stages" / "scores" / "evaluation" / "win_rates.json").read_text())
    assert rates["baseline"] == "cold_start" and set(map(Path, rates["benchmarks"]["micro-general"])) == {
        made / "smoke" / "models" / "micro",
        Path("zero"),
        Path("r1"),
    }
    page = (made / "report.html").read_text()
    assert all(name in page for name in ("cold_start", "micro-general", "Reward models"))


def test_what_is_done_is_not_done_again(made: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.glob("stages/*/manifest.json")}
    go(tmp_path, made)
    assert {path: path.stat().st_mtime_ns for path in made.glob("stages/*/manifest.json")} == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "stage: pairs}",
            "stage: labels}",
            "'labels', of the kind 'sample', which makes labels",
        ),
        ("stage: labels}", "stage: zero}", "'zero', of the kind 'rl', which makes none"),
        (
            "stage: cold_data}",
            "stage: pairs}",
            "'pairs', of the kind 'sample', which makes pairs",
        ),
    ],
)
def test_a_stage_that_makes_something_else(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TEXT.replace(old, new, 1).replace("model: cold_start, problems", "model: zero, problems")  # no cycles
    path = tmp_path / "whole.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)
