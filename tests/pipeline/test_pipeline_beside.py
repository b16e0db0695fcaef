"""Stages beside one another: the same bytes as one after the other with as many threads, and what failures do."""

import json
import os
import random
import signal
import sys
import time
import warnings
from dataclasses import replace
from itertools import combinations
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest

from ponder.errors import ModelError, PonderError
from ponder.pipeline.machine import Device
from ponder.pipeline.messages import Ended, Said, Warned
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.room import _largest, check_room
from ponder.pipeline.run import run
from ponder.pipeline.schedule import makespan, ready
from ponder.pipeline.stage import _other_threads
from ponder.pipeline.stage_process import Lines
from ponder.pipeline.survey import survey
from ponder.recipe import load_recipe
from tests import command

TEXT = """\
name: beside
at_once: 2
stages:
  one:
    kind: sft
    model: micro
    template: r1
    examples: [{source: micro, count: 8}]
    epochs: 1
    batch_size: 4
    max_tokens: 512
  two:
    kind: sft
    model: micro
    template: r1
    examples: [{source: micro, count: 8, seed: 5}]
    epochs: 1
    batch_size: 4
    max_tokens: 512
  both:
    kind: sft
    model: one
    examples: [{source: micro, count: 4, seed: 7}]
    epochs: 1
    batch_size: 4
    max_tokens: 512
    after: [two]
"""
LARGE = {
    "model_type": "qwen2", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
    "num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 4096,
}  # fmt: skip
CPU = Device(name="CPU, 2 cores", memory_bytes=24 * 2**30, train_flops=1e12, generate_flops=1e12)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "beside.yaml"
    file.write_text(TEXT)
    return file


def weights(out: Path) -> dict[str, bytes]:
    return {one.parts[-3]: one.read_bytes() for one in sorted(out.glob("stages/*/model/model.safetensors"))}


def test_the_same_bytes_as_one_after_the_other_with_as_many_threads(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "statistics.py").write_text("raise SystemExit('a file of the working directory is no module')")
    words = ("run", str(recipe), "--out", str(tmp_path / "beside"))
    beside = command.run(*words, folder=tmp_path, environment={"OMP_NUM_THREADS": "2"})
    assert beside.returncode == 0, beside.stderr
    assert "up to 2 stages beside one another, with 1 thread each" in beside.stdout
    alone = command.run(
        "run", str(recipe), "at_once=1", "--out", str(tmp_path / "alone"), environment={"OMP_NUM_THREADS": "1"}
    )
    assert alone.returncode == 0, alone.stderr
    assert weights(tmp_path / "beside") == weights(tmp_path / "alone") and len(weights(tmp_path / "alone")) == 3
    sessions = {name: read(tmp_path / "beside", name)["sessions"][0] for name in ("one", "two", "both")}
    assert sessions["two"]["started"] < sessions["one"]["finished"] and sessions["one"]["pid"] != sessions["two"]["pid"]
    assert sessions["both"]["started"] > max(sessions[name]["finished"] for name in ("one", "two"))
    again = command.run("run", str(recipe), "--out", str(tmp_path / "beside"))
    assert again.stdout.count("done before, skipped") == 3 and "beside one another" not in again.stdout
    monkeypatch.setattr("ponder.pipeline.stage.processors", lambda: (2, "cores"))
    trained = survey(load_recipe(recipe), tmp_path / "beside", smoke=False)[0]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert trained.made > 0 and _other_threads(trained) is None
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert "another number of threads (3, before 1)" in str(_other_threads(trained))


def read(out: Path, stage: str) -> dict:  # type: ignore[type-arg]
    return json.loads((out / "stages" / stage / "manifest.json").read_text())  # type: ignore[no-any-return]


def test_a_failure_ends_the_run_once_the_others_are_at_their_end(recipe: Path, tmp_path: Path) -> None:
    loaded = load_recipe(recipe, ["stages.two.max_tokens=8"])
    said: list[str] = []
    out = tmp_path / "out"
    with pytest.raises(PonderError, match="max_tokens"):
        run(loaded, out, text=TEXT, say=said.append)
    assert any(line.startswith("two: failed: ") and line.endswith("begins until one is at its end") for line in said)
    assert [read(out, name)["status"] for name in ("one", "two")] == ["done", "failed"]
    assert not (out / "stages" / "both").exists()


def wait_for_steps(out: Path, *stages: str) -> None:
    deadline = time.monotonic() + 120
    while not all((out / "stages" / name / "metrics.jsonl").exists() for name in stages):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stopped_stages_say_so_and_the_run_goes_on(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", str(recipe), "stages.one.epochs=12", "stages.two.epochs=12", "--out", str(out))
    process = command.start(*words)
    wait_for_steps(out, "one", "two")
    process.terminate()
    process.communicate()
    assert process.returncode == 130
    assert [read(out, name)["status"] for name in ("one", "two")] == ["interrupted", "interrupted"]
    finished = command.run(*words)
    assert finished.returncode == 0, finished.stderr
    assert [len(read(out, name)["sessions"]) for name in ("one", "two", "both")] == [2, 2, 1]


def test_a_stage_whose_process_is_killed(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = command.start("run", str(recipe), "stages.one.epochs=20", "--out", str(out))
    wait_for_steps(out, "one")
    os.kill(read(out, "one")["sessions"][0]["pid"], signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "process of stage 'one' ended by SIGKILL" in errors and read(out, "two")["status"] == "done"


def test_an_idle_process_that_is_killed_is_replaced(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed: set[int] = set()

    def say(line: str) -> None:
        if line.startswith("report:"):  # some stage has ended, and its process waits for the next one
            done = [read(out, one.name) for one in (out / "stages").iterdir()]
            for pid in {one["sessions"][0]["pid"] for one in done if one["status"] == "done"} - killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # all of its threads have ended

    chain = load_recipe(recipe, ["stages.two.after=[one]"])  # else a stage may be done whose end is not told yet
    run(chain, out, text=TEXT, say=say)
    assert len(killed) == 3 and read(out, "both")["status"] == "done"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "ended by exit status 3. The"),
        ("kill -KILL $$", "ended by SIGKILL, as it does where the machine runs out of memory"),
        ("kill -TERM $$", r"was stopped \(SIGTERM\)"),
        ("kill -40 $$", "ended by signal 40. The"),
    ],
)
def test_processes_that_do_not_even_start(
    script: str, told: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(PonderError, match=f"process of stage '(one|two)' {told}") as caught:
        run(load_recipe(recipe), tmp_path / "out", text=TEXT, say=[].append)
    assert [note.split(" failed, too: ")[0] for note in caught.value.__notes__] in (["stage 'one'"], ["stage 'two'"])


def test_the_folder_is_in_use_until_its_stages_have_stopped(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", str(recipe), "stages.one.epochs=12", "--out", str(out))
    process = command.start(*words, environment={"FORCE_COLOR": "1"})
    wait_for_steps(out, "one", "two")
    stages = [psutil.Process(read(out, name)["sessions"][0]["pid"]) for name in ("one", "two")]
    assert {one.environ()["TTY_COMPATIBLE"] for one in stages} == {"0"}
    for one in stages:
        one.suspend()
    process.kill()
    process.wait()
    refused = command.run(*words)
    assert refused.returncode == 1
    assert f"is in use by stages of process {process.pid}" in refused.stderr and "killed" in refused.stderr
    for one in stages:
        one.resume()
    _, alive = psutil.wait_procs(stages, timeout=60)
    assert not alive and read(out, "one")["status"] == "interrupted"
    finished = command.run(*words)
    assert finished.returncode == 0, finished.stderr


def test_a_stop_that_comes_while_an_object_is_finalized_is_not_lost() -> None:
    program = """
import os, signal, time
from ponder.pipeline.stage_process import stop_on_sigterm

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

stop_on_sigterm()
try:
    Last()
    time.sleep(60)
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGTERM)
    print("stopped, and tidied up")
"""
    assert command.run(program=program).stdout == "stopped, and tidied up\n"


def test_what_stands_on_no_line_is_said_at_the_end() -> None:
    ours, theirs = Pipe()
    lines = Lines(theirs)
    print("one\ntw", end="", file=lines)
    print("o", end="", file=lines)
    lines.ended(Ended())
    assert [ours.recv() for _ in range(3)] == [Said("one"), Said("two"), Ended()]


def test_warnings_of_any_class_are_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        Warned("plain", "UserWarning", "a.py", 1).show()
        Warned("of a library", "UnheardOf", "b.py", 2).show()
    assert [(str(one.message), one.category.__name__, one.lineno) for one in shown] == [
        ("plain", "UserWarning", 1), ("of a library", "UnheardOf", 2),
    ]  # fmt: skip
    assert shown[0].category is UserWarning


def test_stages_that_cannot_be_held_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "config.json").write_text(json.dumps(LARGE))
    models = [f"stages.{name}.model={tmp_path / 'large'}" for name in ("one", "two")]
    file = tmp_path / "beside.yaml"
    file.write_text(TEXT)
    with pytest.raises(ModelError, match=r"`at_once` is 2, .* one, two can run at the same time.* Give at_once=1"):
        check_room(load_recipe(file, models), CPU)
    check_room(load_recipe(file, [*models, "at_once=1"]), CPU)
    check_room(load_recipe(file, [*models, "stages.two.after=[one]"]), CPU)


def test_only_stages_that_are_apart_are_held_together(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3})
    (recipe.parent / "large").mkdir()
    (recipe.parent / "large" / "config.json").write_text(json.dumps(LARGE))
    large = recipe.parent / "large"
    words = [f"stages.one.model={large}", f"stages.two.model={large}", "at_once=3"]
    two = replace(CPU, memory_bytes=40 * 2**30)  # room for two of them
    recipe.write_text(TEXT.replace("    model: one\n", f"    model: {large}\n").replace("    after: [two]\n", ""))
    check_room(load_recipe(recipe, [*words, "stages.two.after=[one]"]), two)
    with pytest.raises(ModelError, match="the stages one, two, both can run"):
        check_room(load_recipe(recipe, words), two)
    check_room(load_recipe(recipe, words), two, alone=True)


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_set_of_stages_beside_one_another(seed: int) -> None:
    drawn = random.Random(seed)
    held = {name: drawn.randint(1, 9) for name in "abcdefgh"}
    pairs = {frozenset(pair) for pair in combinations(held, 2) if drawn.random() < 0.6}
    beside = {name: {other for other in held if frozenset((name, other)) in pairs} for name in held}
    count = drawn.randint(1, 5)
    sets = (some for n in range(1, count + 1) for some in combinations(held, n))
    best = max(sum(map(held.__getitem__, some)) for some in sets if {*map(frozenset, combinations(some, 2))} <= pairs)
    found = _largest(held, beside, count)
    assert sum(map(held.__getitem__, found)) == best and len(found) <= count
    assert {*map(frozenset, combinations(found, 2))} <= pairs


def test_no_more_stages_than_cores_run(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    monkeypatch.setattr(sys, "executable", "/bin/false")
    said: list[str] = []
    with pytest.raises(PonderError, match="process of stage 'one' ended by exit status 1"):
        run(load_recipe(recipe), tmp_path / "out", text=TEXT, say=said.append)
    assert any("up to 1 stage beside one another" in line and "at_once: 2, and cores: 1" in line for line in said), said
    assert len([line for line in said if "failed" in line]) == 1


def test_stages_begin_in_their_order_once_what_they_need_is_done() -> None:
    needs = {"zero": [], "sft": ["zero"], "rl": [], "last": ["rl"]}
    assert ready(["zero", "sft", "rl", "last"], needs, [], 2) == ["zero", "rl"]
    assert ready(["sft", "last"], needs, ["rl"], 2) == ["last"]
    assert ready(["sft", "last"], needs, ["zero", "rl"], 1) == ["sft"]
    assert ready(["sft"], needs, ["zero"], 0) == []


def test_time_until_the_last_stage_ends() -> None:
    seconds = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}
    needs = {"a": [], "b": [], "c": ["b"], "d": ["a", "outside"]}
    assert makespan(seconds, needs, 1) == 8
    assert makespan(seconds, needs, 2) == 4  # a d beside b c
    assert makespan(seconds, needs, 64) == 4
    assert makespan({}, {}, 2) == 0


def test_the_plan_counts_stages_beside_one_another_once(recipe: Path, tmp_path: Path) -> None:
    alone, beside = (describe_plan(load_recipe(recipe, [f"at_once={n}"]), tmp_path / "out") for n in (1, 2))
    assert "stages that run beside one another" in beside and "beside one another" not in alone
