"""Sweeps: which runs there are, what is refused, the table over seeds by value, and a real one that goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import RecipeError
from ponder.evaluation.scores import read_scores, write_scores
from ponder.pipeline.sweep import cells, split_values, sweep_folder
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
    assert student_interval([0.5, 0.5, 0.5]) is None  # what they would differ by was not seen
    # Student's t at 97.5 %: 1.98422 for 99 degrees of freedom, 2.03951 for 31
    for half, error, t in ((50, 0.0502519, 1.98422), (16, 0.0898027, 2.03951)):
        reach = t * error
        assert student_interval([0.0, 1.0] * half) == pytest.approx((0.5 - reach, 0.5 + reach), abs=3e-4)
    found = spread([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    assert set(found) == {"a"} and found["a"].mean == 2.0 and found["a"].values == (1.0, 3.0)
    assert spread([]) == {}


def test_seeds_are_not_swept_over_stages_that_have_their_own() -> None:
    recipe, arms = find_recipe("ppo-vs-grpo-micro"), ("grpo", "ppo", "ppo_tuned")
    with pytest.raises(RecipeError, match="grpo, ppo, ppo_tuned have a `seed`") as refused:
        cells(recipe, ["seed=0,1"], Path("out"))
    freed = [f"stages.{name}.seed=null" for name in arms]
    assert str(refused.value).endswith(" ".join(freed))
    assert len(cells(recipe, ["seed=0,1", *freed], Path("out"))) == 2
    assert len(cells(recipe, ["stages.grpo.steps=2,3"], Path("out"))) == 2, "other keys may be swept"


def test_long_names_of_folders_are_cut_and_stay_different() -> None:
    names = ["a" * 300, "a" * 300 + "b"]
    long = [cell.folder.name for cell in cells(ZERO, [f"stages.zero.problems.0.name={','.join(names)}"], Path("out"))]
    assert [len(name) for name in long] == [255, 255] and len(set(long)) == 2
    assert all(name.startswith("stages.zero.problems.0.name=aaa") for name in long)


def test_the_folder_is_named_by_the_recipe_as_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("stages: {zero: {kind: rl, problems: [{source: micro}], steps: 2}}\n")
    given = ["name=mine", "stages.zero.model=micro", "seed=0,1"]
    assert sweep_folder(tmp_path / "part.yaml", given, smoke=False) == Path("runs/mine-sweep")
    assert sweep_folder(ZERO, ["seed=0,1"], smoke=True) == Path("runs/zero-micro-sweep-smoke")


def test_runs_that_failed_are_counted(tmp_path: Path) -> None:
    folder, gone = build_run(tmp_path / "run", steps=4, every=4, problems=4, samples=2), tmp_path / "gone"
    (first, second), value = tables({"": [folder, gone]}, [gone])
    assert first.title == "all: 1 of 2 runs (1 failed)"
    assert value[""]["runs"] == [str(folder)] and value[""]["failed"] == [str(gone)]
    counts = [str(cell) for cell in second.columns[1].cells]
    assert counts and all(count.endswith(" of 2") for count in counts)
    ((table,), value) = tables({"": [gone]}, [gone])
    assert table.title == "all: 0 of 1 runs (1 failed)" and value[""]["measures"] == {}


PARENT = """
import signal, sys
from ponder.pipeline.sweep import finish
def stop(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
try:
    finish([sys.executable, "-c", sys.argv[1]])
except KeyboardInterrupt:
    sys.exit(130)
"""
CHILD = """
import signal, sys, time
from pathlib import Path
def stop(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
Path("pid").write_text(str(__import__("os").getpid()))
try:
    time.sleep(100)
except KeyboardInterrupt:
    Path("told").touch()
    time.sleep({seconds})
    Path("tidy").touch()
"""


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists() or (path.name == "pid" and not path.read_text()):
        assert time.monotonic() < end, f"{path} is not there"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_lets_its_run_end_in_order(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, CHILD.format(seconds=1)]
    with subprocess.Popen(command, cwd=tmp_path) as parent:
        wait_for(tmp_path / "pid")
        parent.send_signal(number)
        assert parent.wait(60) == 130
    assert (tmp_path / "tidy").exists(), "it was given the time that it took"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process that its parent is gone")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_sweep_that_is_killed_leaves_no_run_behind(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, CHILD.format(seconds=0)]
    with subprocess.Popen(command, cwd=tmp_path) as parent:
        wait_for(tmp_path / "pid")
        parent.send_signal(number)
        assert parent.wait(60) == -number
    wait_for(tmp_path / "tidy")


def test_a_second_interrupt_waits_no_longer(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, CHILD.format(seconds=100)]
    with subprocess.Popen(command, cwd=tmp_path) as parent:
        wait_for(tmp_path / "pid")
        parent.send_signal(signal.SIGTERM)
        wait_for(tmp_path / "told")
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not (tmp_path / "tidy").exists()


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
