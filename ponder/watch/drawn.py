"""Which rollouts stand whole in the log: `rollouts/drawn.jsonl` of a stage that draws ahead, a line for each.

A line is written when all completions of the rollout are on disk, and holds what they do not say themselves. A rollout
without its line is drawn again; one with it never is, whatever the stage has learnt of it so far.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ponder.records import Group, Rollout
from ponder.watch.lines import cut_after, dump_line, read_lines, repair
from ponder.watch.rollouts import read_rollouts, rollout_files

__all__ = ["DrawnLog", "DrawnRollout"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRollout:
    """A rollout of `problems` problems, refills not counted. `metrics` are what was found while it was judged,
    `seconds` what its phases took."""

    groups: tuple[Group, ...]
    problems: int
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]


class DrawnLog:
    """The lines of one stage; `group_size` completions of the log make a group."""

    def __init__(self, folder: Path, group_size: int) -> None:
        self._folder, self._group_size = folder, group_size
        self._path = folder / "rollouts" / "drawn.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        repair(self._path)

    def write(self, step: int, rollout: DrawnRollout) -> None:
        """The rollout of update `step` stands whole in the log."""
        line = {
            "step": step,
            "problems": rollout.problems,
            "completions": sum(len(group.rollouts) for group in rollout.groups),
            "metrics": rollout.metrics,
            "seconds": rollout.seconds,
        }
        with self._path.open("ab") as file:
            file.write(dump_line(line))
            file.flush()
            os.fsync(file.fileno())

    def read_after(self, step: int) -> dict[int, DrawnRollout]:
        """The whole rollouts of later updates than `step` by their updates, up to the first that is not whole."""
        lines = [line for _, line in read_lines(self._path) if line["step"] > step]
        found: dict[int, list[Rollout]] = {}
        for path in reversed(rollout_files(self._folder)):
            of_file: dict[int, list[Rollout]] = {}
            for logged in read_rollouts(self._folder, lambda at: at > step, [path]):
                of_file.setdefault(logged.step, []).append(logged.rollout)
            if not of_file:
                break  # what was written before this is of earlier steps still
            found = {at: of_file.get(at, []) + found.get(at, []) for at in (*of_file, *found)}
        whole: dict[int, DrawnRollout] = {}
        for line in lines:
            rollouts = found.get(line["step"], [])
            size = self._group_size
            if len(rollouts) != line["completions"] or len(rollouts) % size:
                break
            whole[line["step"]] = DrawnRollout(
                groups=tuple(Group(rollouts=tuple(rollouts[i : i + size])) for i in range(0, len(rollouts), size)),
                problems=line["problems"],
                metrics=line["metrics"],
                seconds=line["seconds"],
            )
        return whole

    def truncate_after(self, step: int) -> None:
        """Forget rollouts of later updates than `step`."""
        cut_after(self._path, step)
