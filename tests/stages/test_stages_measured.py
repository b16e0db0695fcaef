"""Problems measured by a `sample` stage feed RL: written with their pass rates, filtered, known to the sampler."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponder.errors import DataError, RecipeError
from ponder.pipeline.run import run
from ponder.pipeline.smoke import smoke_recipe
from ponder.recipe import load_recipe
from ponder.recipe.problems import StageProblems
from ponder.recipe.sampler import Sampler
from ponder.records import MathGold, MeasuredProblem, Message, Problem, from_json, to_json
from ponder.task import load_problems
from ponder.task.solve_rates import SolveRates

MEASURED: dict[str, Any] = {
    "kind": "sample",
    "model": "micro",
    "output": "problems",
    "problems": [{"source": "micro", "tasks": ["ordering", "science"], "count": 12}],
    "samples": 4,
    "sampling": {"temperature": 1.0, "max_tokens": 64},
}
LEARNT: dict[str, Any] = {
    "kind": "rl",
    "model": "micro",
    "template": "r1-zero",
    "problems": [{"source": "stage", "stage": "measured"}],
    "sampler": {},
    "steps": 1,
    "problems_per_step": 2,
    "group_size": 2,
    "sampling": {"max_tokens": 32},
}


def write(folder: Path, measured: dict[str, Any] | None = None, learnt: dict[str, Any] | None = None) -> Path:
    stages = {"measured": MEASURED | (measured or {}), "zero": LEARNT | (learnt or {})}
    file = folder / "measured.yaml"
    file.write_text(yaml.safe_dump({"name": "measured", "stages": stages}))
    return file


def test_a_pass_rate_that_was_measured_feeds_rl(tmp_path: Path) -> None:
    file, out = write(tmp_path), tmp_path / "run"
    run(load_recipe(file), out, text=file.read_text(), say=lambda line: None)
    lines = (out / "stages" / "measured" / "problems.jsonl").read_text().splitlines()
    found = [from_json(MeasuredProblem, json.loads(line)) for line in lines]
    assert len(found) == 12 and {one.judged for one in found} == {4}
    assert {one.domain for one in found} == {"ordering", "science"}
    requests = (out / "stages" / "measured" / "requests" / "samples.jsonl").read_text().splitlines()
    assert len(requests) == 48
    rollouts = (out / "stages" / "zero" / "rollouts").glob("rollouts-*.jsonl")
    drawn = {json.loads(line)["problem"]["id"] for one in rollouts for line in one.read_text().splitlines()}
    assert drawn <= {one.problem.id for one in found} and len(drawn) == 2


def measured(folder: Path, rates: dict[str, tuple[int, int]]) -> Path:
    lines = [
        to_json(
            MeasuredProblem(
                problem=Problem(
                    id=name,
                    messages=(Message(role="user", content=name),),
                    gold=MathGold(answer="1"),
                    domain="sums",
                    difficulty=place,
                ),
                right=right,
                judged=judged,
            )
        )
        for place, (name, (right, judged)) in enumerate(rates.items())
    ]
    (folder / "problems.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_problems_are_taken_by_their_rates_and_the_sampler_knows_them(tmp_path: Path) -> None:
    rates = {"never": (0, 8), "seldom": (1, 8), "half": (4, 8), "always": (8, 8)}
    stages = {"measured": measured(tmp_path, rates)}
    source = StageProblems(stage="measured")
    everything = load_problems([source], stages=stages)
    assert [one.id for one in everything.problems] == list(rates)
    sampler = SolveRates(everything, Sampler(keep=(0.2, 0.8)), seed=1)
    assert sampler.rate(everything.problems[2]) == 0.5 and sampler.rate(everything.problems[3]) == 1
    assert [one.id for one in sampler.draw(1)] == ["half"]
    some = load_problems([StageProblems(stage="measured", pass_rate=(0.1, 0.5), domain="mine")], stages=stages)
    assert [(one.id, one.domain) for one in some.problems] == [("seldom", "mine"), ("half", "mine")]
    assert [entry.row for entry in some.left_out] == [1, 4] and "pass rate 0 is not" in some.left_out[0].reason


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no problems\.jsonl of a stage 'measured'"):
        load_problems([StageProblems(stage="measured")], stages={"measured": tmp_path})
    with pytest.raises(DataError, match="of a stage 'other'"):
        load_problems([StageProblems(stage="other")])
    (tmp_path / "problems.jsonl").write_text('{"problem": 3}')
    with pytest.raises(DataError, match="does not hold problems"):
        load_problems([StageProblems(stage="measured")], stages={"measured": tmp_path})


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ({"measured": {"output": "examples"}}, "takes problems from stage 'measured'"),
        ({"measured": {"keep": {"correct": True}}}, "keep.correct"),
        ({"measured": {"judge": {"kind": "chance"}}}, "judge"),
        ({"measured": {"keep": {"pass_rate": [0.9, 0.1]}}}, "pass_rate"),
        ({"learnt": {"problems": [{"source": "stage", "stage": "measred"}]}}, "measured"),
        ({"learnt": {"problems": [{"source": "stage", "stage": "measured", "pass_rate": [0.9, 0.1]}]}}, "pass_rate"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(tmp_path: Path, stages: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(write(tmp_path, **stages))


def test_smoke_recipes_keep_the_chain(tmp_path: Path) -> None:
    narrow = {"problems": [{"source": "stage", "stage": "measured", "pass_rate": [0.2, 0.8]}]}
    small = smoke_recipe(load_recipe(write(tmp_path, {"keep": {"pass_rate": [0.2, 0.8]}}, narrow)), tmp_path)
    assert small.stages["zero"].takes() == {"measured": "problems"}
    (source,) = small.stages["zero"].problem_sources()
    assert isinstance(source, StageProblems) and source.pass_rate is None
