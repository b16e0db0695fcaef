"""Stages beside one another: the same bytes as one after the other with as many threads, and what failures do."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from ponder.errors import ModelError, PonderError
from ponder.pipeline.machine import Device
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.room import check_room
from ponder.pipeline.run import run
from ponder.pipeline.schedule import makespan, ready
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


def test_the_same_bytes_as_one_after_the_other_with_as_many_threads(recipe: Path, tmp_path: Path) -> None:
    beside = command.run("run", str(recipe), "--out", str(tmp_path / "beside"), environment={"OMP_NUM_THREADS": "2"})
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
