"""Sweeps: which runs there are, what is refused, the table over seeds by value, and a real one that goes on."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import RecipeError
from ponder.evaluation.scores import read_scores, write_scores
from ponder.pipeline.sweep import cells, split_values
from ponder.recipe.shipped import find_recipe
from ponder.report.run import read_run
from ponder.report.seeds import measures, spread, student_interval, tables
from tests.report.report_run_builder import build_run

ZERO = find_recipe("zero-micro")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,1,2", ["0", "1", "2"]),
        ("1e-4, 3e-4", ["1e-4", "3e-4"]),
        ("[1, 2]", ["[1, 2]"]),
        ("[1, 2],[3]", ["[1, 2]", "[3]"]),
        ("{a: 1, b: 2}, null", ["{a: 1, b: 2}", "null"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("", [""]),
        ("a,", ["a", ""]),
    ],
)
def test_values_between_commas(text: str, values: list[str]) -> None:
    assert split_values(text) == values


@given(st.text(alphabet="ab,[](){}'\"=1"))
def test_nothing_of_the_text_is_lost(text: str) -> None:
    assert ",".join(split_values(text)) == text


def test_every_combination_has_a_folder() -> None:
    found = cells(ZERO, ["seed=0,1", "stages.zero.steps=3", "stages.zero.objective=grpo,dapo"], Path("out"))
    assert [cell.overrides for cell in found] == [
        (f"seed={seed}", "stages.zero.steps=3", f"stages.zero.objective={objective}")
        for seed in (0, 1)
        for objective in ("grpo", "dapo")
    ]
    assert str(found[1].folder) == "out/seed=0,stages.zero.objective=dapo"
    assert found[1].setting == (("stages.zero.objective", "dapo"),) and found[1].seed == "0"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "nothing is swept"),
        (["seed=1"], "nothing is swept"),
        (["seed=1,1"], "expected different values"),
        (["seed=1,"], "expected different values"),
        (["seed=0,one"], "seed"),
        (["stages.zero.stepz=1,2"], "stepz"),
        (["seed"], "nothing is swept"),
        (["seed=0,1", "stages.zero.steps=3", " seed =0,1,2"], "'seed' is given 2 times"),
        (["seed=0,00"], "the same run, which would count twice"),
        (["stages.zero.optimizer.lr=1e-4,0.0001"], "the same run, which would count twice"),
        (["stages.zero.problems.0.name='a b','a-b'"], "the same folder"),
        (
            ["seed=" + ",".join(map(str, range(40))), "stages.zero.steps=" + ",".join(map(str, range(1, 41)))],
            "1,600 runs",
        ),
    ],
)
def test_what_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        cells(ZERO, overrides, Path("out"))


def test_a_measure_that_is_no_number_is_none(tmp_path: Path) -> None:
    folder = build_run(tmp_path / "run", steps=4, every=4, problems=4, samples=2)
    file = folder / "stages/scores/evaluation/zero--micro.json"
    before = measures(read_run(folder))
    scores = read_scores(file)
    write_scores(file, replace(scores, overall=replace(scores.overall, pass_at={}, interval=(nan, nan))))
    assert before.keys() - measures(read_run(folder)).keys() == {"scores: zero on micro"}
    _, value = tables({"": [folder, folder]})
    assert "NaN" not in json.dumps(value)


def test_intervals_over_runs() -> None:
    # scipy.stats.t.interval(0.95, 2, loc=0.5, scale=0.1 / sqrt(3)) of the sample 0.4, 0.5, 0.6
    assert student_interval([0.4, 0.5, 0.6]) == pytest.approx((0.25159, 0.74841), abs=1e-4)
    assert student_interval([0.5]) is None
    assert student_interval([0.0, 1.0] * 50) == pytest.approx(
        (0.5 - 1.96 * 0.0502519, 0.5 + 1.96 * 0.0502519), abs=1e-4
    )
    found = spread([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    assert set(found) == {"a"} and found["a"].mean == 2.0 and found["a"].values == (1.0, 3.0)
    assert spread([]) == {}


@pytest.mark.slow
def test_a_real_sweep_goes_on_and_prints_one_table(tmp_path: Path) -> None:
    def sweep() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ponder.cli", "sweep", "zero-micro", "--seeds", "2", "--smoke", "--out", "all"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": ""}
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=280)

    done = sweep()
    assert done.returncode == 0, done.stdout + done.stderr
    value = json.loads((tmp_path / "all/sweep.json").read_text())
    assert [Path(run).name for run in value[""]["runs"]] == ["seed=0", "seed=1"]
    assert len(value[""]["measures"]["zero end: pass@1"]["values"]) == 2
    assert "all: 2 runs" in done.stdout and "zero end: tokens" in done.stdout
    assert done.stdout.lstrip().startswith("[1 of 2]"), "before what the run itself prints"
    again = sweep()
    assert again.returncode == 0 and again.stdout.count("done before, skipped") == 2
    assert json.loads((tmp_path / "all/sweep.json").read_text()) == value
