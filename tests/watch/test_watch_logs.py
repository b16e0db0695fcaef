"""Metrics and rollouts on disk: what is written comes back, and a resumed log equals an uninterrupted one."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import RunFolderError
from ponder.records import Completion, MathGold, Message, Problem, Rollout, Verdict
from ponder.watch import MetricsLog, RolloutLog, read_metrics, read_rollouts
from ponder.watch.lines import cut_after


def rollout(seed: int, tokens: int = 3, text: str = "5") -> Rollout:
    problem = Problem(
        id="p/1", messages=(Message(role="user", content="2+3?"),), gold=MathGold(answer="5"), domain="math"
    )
    completion = Completion(
        token_ids=tuple(range(tokens)),
        logprobs=tuple(-0.25 * i for i in range(tokens)),
        text=text,
        finish_reason="stop",
        weight_version=7,
        seed=seed,
    )
    return Rollout(
        problem=problem,
        prompt_ids=(1, 2),
        completion=completion,
        verdict=Verdict(outcome="right", reason="numbers equal", answer="5", score=1.0),
        rewards={"accuracy": 1.0, "language": None},
        reward=1.0,
    )


def logged(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.jsonl"))}


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_metrics_come_back_and_non_finite_ones_are_null(tmp_path: Path) -> None:
    with MetricsLog(tmp_path) as log:
        log.write(0, {"policy/kl": 0.5, "loss/policy": math.nan})
        log.write(1, {"policy/kl": 0.25})
    assert read_metrics(tmp_path) == [
        {"step": 0, "policy/kl": 0.5, "loss/policy": None},
        {"step": 1, "policy/kl": 0.25},
    ]
    assert events(tmp_path) == {"policy/kl": [(0, 0.5), (1, 0.25)]}


def test_a_step_is_written_once(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.write(3, {})
    with pytest.raises(AssertionError, match="after those of step 3"):
        log.write(3, {})


@pytest.mark.parametrize("torn", [b"", b'{"step":6,"policy/kl":1', b"x" * 70_000])
def test_resumed_metrics_equal_uninterrupted_ones(tmp_path: Path, torn: bytes) -> None:
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    with MetricsLog(straight) as log:
        for step in range(8):
            log.write(step, {"policy/kl": step / 8})
    killed = MetricsLog(resumed)
    for step in range(6):
        killed.write(step, {"policy/kl": step / 8 if step < 4 else 99.0})
    with (resumed / "metrics.jsonl").open("ab") as file:
        file.write(torn)
    assert len(read_metrics(resumed)) == 6  # a reader leaves the torn line out
    with MetricsLog(resumed) as log:
        log.truncate_after(3)
        for step in range(4, 8):
            log.write(step, {"policy/kl": step / 8})
    assert logged(resumed) == logged(straight)
    assert events(resumed) == events(straight)


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step":0}\n{"st\n{"step":2}\n')
    with pytest.raises(RunFolderError, match="at byte 11"):
        read_metrics(tmp_path)


def test_nothing_measured_yet(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    assert list(read_rollouts(tmp_path)) == []
    MetricsLog(tmp_path).truncate_after(0)
    RolloutLog(tmp_path).truncate_after(0)
    assert logged(tmp_path) == {}


def test_rollouts_come_back(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path)
    written = [rollout(1), rollout(2, text="等等 \u2028 \ud800 </think>")]
    written[0] = replace(written[0], completion=replace(written[0].completion, guided=True))
    for step, one in enumerate(written):
        log.write(step, one)
    read = list(read_rollouts(tmp_path))
    assert [r.rollout for r in read] == written
    assert [r.step for r in read] == [0, 1]
    assert [r.rollout.completion.seed for r in read_rollouts(tmp_path, lambda step: step == 1)] == [2]


def test_rollout_files_keep_to_their_size(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path, max_bytes=2_000)
    for step in range(20):
        log.write(step, rollout(step, tokens=4))
    log.write(20, rollout(20, tokens=2_000))  # a single longer line stands alone
    log.write(21, rollout(21))
    files = sorted((tmp_path / "rollouts").iterdir())
    assert [f.name for f in files] == [f"rollouts-{i:06d}.jsonl" for i in range(len(files))]
    assert len(files) > 3
    assert [f.stat().st_size > 2_000 for f in files] == [False] * (len(files) - 2) + [True, False]
    assert [r.step for r in read_rollouts(tmp_path)] == list(range(22))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    kept=st.integers(0, 12),
    max_bytes=st.integers(400, 3_000),
    torn=st.booleans(),
)
def test_resumed_rollouts_equal_uninterrupted_ones(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], kept: int, max_bytes: int, torn: bool
) -> None:
    straight, resumed = tmp_path_factory.mktemp("straight"), tmp_path_factory.mktemp("resumed")
    for folder in (straight, resumed):
        log = RolloutLog(folder, max_bytes)
        for step, size in enumerate(sizes):
            log.write(step, rollout(step, size))
    last = sorted((resumed / "rollouts").iterdir())[-1]
    if torn:
        last.write_bytes(last.read_bytes() + b'{"step": 9')
    log = RolloutLog(resumed, max_bytes)
    log.truncate_after(kept - 1)
    for step, size in enumerate(sizes[kept:], start=kept):
        log.write(step, rollout(step, size))
    assert logged(resumed) == logged(straight)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 90)), max_size=30),
    kept=st.integers(-1, 10),
    torn=st.sampled_from([b"", b"{", b'{"step":3}']),
)
def test_a_cut_keeps_the_lines_up_to_its_step(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], kept: int, torn: bytes
) -> None:
    lines = [(step, b'{"step":%d,"text":"%s"}\n' % (step, b"x" * size)) for step, size in sorted(steps)]
    path = tmp_path_factory.mktemp("cut") / "lines.jsonl"
    path.write_bytes(b"".join(line for _, line in lines) + torn)
    cut_after(path, kept)
    assert path.read_bytes() == b"".join(line for step, line in lines if step <= kept)


def test_resuming_reads_some_lines_of_the_last_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RolloutLog(tmp_path, max_bytes=100_000)
    for step in range(600):
        log.write(step, rollout(step, tokens=30))
    files = sorted((tmp_path / "rollouts").iterdir())
    assert len(files) > 3
    expected = [one.step for one in read_rollouts(tmp_path, lambda step: step <= 560)]
    parsed: list[bytes] = []
    monkeypatch.setattr(json, "loads", lambda line, loads=json.loads: parsed.append(line) or loads(line))
    RolloutLog(tmp_path, max_bytes=100_000).truncate_after(560)
    assert len(parsed) < 40
    monkeypatch.undo()
    assert [one.step for one in read_rollouts(tmp_path)] == expected == list(range(561))


def test_lines_are_plain_json(tmp_path: Path) -> None:
    RolloutLog(tmp_path).write(4, rollout(1))
    line = json.loads((tmp_path / "rollouts" / "rollouts-000000.jsonl").read_text())
    assert line["step"] == 4
    assert line["weight_version"] == 7
    assert line["reason"] == "numbers equal"
    assert line["rewards"] == {"accuracy": 1.0, "language": None}
    assert line["logprobs"] == [0.0, -0.25, -0.5]
