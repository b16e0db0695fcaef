"""What a stage cost: nothing is counted twice, and nothing that was paid or kept is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.evaluation.scores import read_scores, write_scores
from ponder.report.cost import Cost, stage_cost
from ponder.report.run import read_run
from tests.report.report_run_builder import build_run


def cost(folder: Path, name: str) -> Cost:
    run = read_run(folder)
    found = stage_cost(run, next(stage for stage in run.stages if stage.name == name))
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build_run(tmp_path / "run", steps=4, every=4, problems=4, samples=2)


def test_completions_that_are_judged_again_were_sampled_once(folder: Path) -> None:
    before = cost(folder, "scores")
    scores = read_scores(folder / "stages/scores/evaluation/zero--micro.json")
    again = replace(scores, provenance={**scores.provenance, "model": "zero with control", "control": "rules.yaml"})
    write_scores(folder / "stages/scores/evaluation/zero-with-control--micro.json", again)
    after = cost(folder, "scores")
    assert before.measured > 0 and (after.measured, after.measured_flops) == (before.measured, before.measured_flops)


def test_whoever_was_asked_was_paid(folder: Path) -> None:
    assert cost(folder, "scores").charged is None
    (folder / "stages/scores/requests").mkdir()
    for name, costs in (("teacher", [0.5, None]), ("judge", [0.25, 0.125])):
        lines = [json.dumps({"key": str(place), "cost": one}) for place, one in enumerate(costs)]
        (folder / f"stages/scores/requests/{name}.jsonl").write_text("\n".join(lines) + "\n" + '{"key": "half')
    found = cost(folder, "scores")
    assert found.charged == 0.875
    assert "stages/scores/requests/judge.jsonl" in found.files


def test_moments_of_several_processes_are_kept_too(folder: Path) -> None:
    assert cost(folder, "zero").state_bytes is None
    newest = folder / "stages/zero/checkpoints/step-00000004"
    (newest / "optimizer").mkdir(parents=True)
    (newest / "model.safetensors").write_bytes(bytes(10))
    (newest / "state.json").write_bytes(bytes(100))
    for rank in range(2):
        (newest / f"optimizer/__{rank}_0.distcp").write_bytes(bytes(7))
    assert cost(folder, "zero").state_bytes == 24
