"""A rollout that was drawn ahead comes back from disk as it was, bit for bit, or not at all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from test_watch_logs import rollout

from ponder.records import Group
from ponder.watch import RolloutLog
from ponder.watch.drawn import DrawnLog, DrawnRollout
from ponder.watch.rollouts import rollout_files


def drawn(step: int) -> DrawnRollout:
    """Two groups of two, with log-probs that need all of float32's digits."""
    random = np.random.default_rng(step)

    def one(seed: int) -> object:
        made = rollout(seed, tokens=5)
        logprobs = (-random.exponential(size=5) * 10.0 ** random.integers(-9, 2, 5)).astype(np.float32).tolist()
        return replace(made, completion=replace(made.completion, logprobs=logprobs), reward=random.normal())

    groups = tuple(Group(rollouts=(one(2 * i), one(2 * i + 1))) for i in range(2))  # type: ignore[arg-type]
    return DrawnRollout(groups=groups, problems=2, metrics={"groups/refilled": 0.0}, seconds={"generate": 1.5})


def write(folder: Path, step: int, *, whole: bool = True, max_bytes: int = 64 * 2**20) -> DrawnRollout:
    made, log = drawn(step), RolloutLog(folder, max_bytes, exact=True)
    for group in made.groups:
        for each in group.rollouts:
            log.write(step, each)
    log.sync()
    if whole:
        DrawnLog(folder, 2).write(step, made)
    return made


def test_whole_rollouts_come_back_as_they_were(tmp_path: Path) -> None:
    for max_bytes in (64 * 2**20, 1500):  # in one file, and cut apart in several
        folder = tmp_path / str(max_bytes)
        made = {step: write(folder, step, max_bytes=max_bytes) for step in (1, 3, 5)}
        write(folder, 7, whole=False, max_bytes=max_bytes)
        assert DrawnLog(folder, 2).read_after(0) == made
        assert DrawnLog(folder, 2).read_after(1) == {3: made[3], 5: made[5]}
        assert DrawnLog(folder, 2).read_after(5) == {}
        assert (len(rollout_files(folder)) > 4) == (max_bytes == 1500)


def test_what_lacks_completions_does_not_count_nor_does_what_follows(tmp_path: Path) -> None:
    made = [write(tmp_path, step) for step in (1, 3, 5)]
    (path,) = rollout_files(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7] + lines[8:]))  # one of step 3 is lost
    assert DrawnLog(tmp_path, 2).read_after(0) == {1: made[0]}


def test_a_torn_line_and_later_ones_are_forgotten(tmp_path: Path) -> None:
    made = [write(tmp_path, step) for step in (1, 3)]
    path = tmp_path / "rollouts" / "drawn.jsonl"
    path.write_bytes(path.read_bytes() + b'{"step":5,"prob')
    log = DrawnLog(tmp_path, 2)
    assert log.read_after(0) == {1: made[0], 3: made[1]}
    log.truncate_after(2)
    assert log.read_after(0) == {1: made[0]}
