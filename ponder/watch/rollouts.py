"""Every rollout on disk: one JSON line each under `rollouts/`, in files of bounded size.

A line holds the ids, the text, each token's log-prob, each reward, the verdict with its reason and the version of the
weights, so that any question about a run can be asked after it. Read them back with `read_rollouts`, or with any tool
that reads JSON lines.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ponder.records import Completion, Problem, Rollout, Talk, Verdict, WeightSpan, from_json, to_json
from ponder.watch.lines import cut_after, dump_line, read_lines, repair

__all__ = ["LoggedRollout", "RolloutLog", "read_last_step", "read_rollouts", "rollout_files"]

_PROBLEM = TypeAdapter(Problem)
_LOGPROB_DIGITS = 6  # an fp32 log-prob of magnitude 1 has seven; nine give back any


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRollout:
    """A rollout read back, and the update it was sampled for (1 is the first)."""

    step: int
    rollout: Rollout


def _to_line(step: int, rollout: Rollout, exact: bool) -> bytes:
    completion, verdict = rollout.completion, rollout.verdict
    return dump_line(
        {
            "step": step,
            "weight_version": completion.weight_version,
            "problem": _PROBLEM.dump_python(rollout.problem, mode="json"),
            "text": completion.text,
            **({} if completion.talk is None else {"talk": to_json(completion.talk)}),
            **({"guided": True} if completion.guided else {}),
            **({"weight_spans": [to_json(span) for span in completion.spans]} if completion.spans else {}),
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "answer": verdict.answer,
            "score": verdict.score,
            "reward": rollout.reward,
            "rewards": dict(rollout.rewards),
            **({"failed": rollout.failed} if rollout.failed else {}),
            "finish_reason": completion.finish_reason,
            "seed": completion.seed,
            "prompt_ids": rollout.prompt_ids,
            "token_ids": list(completion.token_ids),
            "logprobs": [
                float(f"{logprob:.9g}") if exact else round(logprob, _LOGPROB_DIGITS) for logprob in completion.logprobs
            ],
        }
    )


def _from_line(line: dict[str, Any]) -> LoggedRollout:
    completion = Completion(
        token_ids=line["token_ids"],
        logprobs=line["logprobs"],
        text=line["text"],
        finish_reason=line["finish_reason"],
        weight_version=line["weight_version"],
        seed=line["seed"],
        talk=from_json(Talk, line["talk"]) if "talk" in line else None,
        guided="guided" in line,
        spans=tuple(from_json(WeightSpan, one) for one in line.get("weight_spans", ())),
    )
    verdict = Verdict(outcome=line["outcome"], reason=line["reason"], answer=line["answer"], score=line["score"])
    rollout = Rollout(
        problem=_PROBLEM.validate_python(line["problem"]),
        prompt_ids=tuple(line["prompt_ids"]),
        completion=completion,
        verdict=verdict,
        rewards=line["rewards"],
        reward=line["reward"],
        failed=tuple(line["failed"]) if "failed" in line else (),
    )
    return LoggedRollout(step=line["step"], rollout=rollout)


def rollout_files(folder: Path) -> list[Path]:
    """The files of a stage folder's rollouts in the order they were written."""
    found = (folder / "rollouts").glob("rollouts-*.jsonl")
    return sorted(path for path in found if re.fullmatch(r"rollouts-\d{6,}", path.stem))  # and nobody's copy of one


def read_rollouts(
    folder: Path, keep: Callable[[int], bool] = lambda step: True, files: Sequence[Path] | None = None
) -> Iterator[LoggedRollout]:
    """The rollouts of a stage folder in the order they were written, of the steps that `keep` accepts; of all its
    files unless some are given."""
    for path in rollout_files(folder) if files is None else files:
        for _, line in read_lines(path):
            if keep(line["step"]):
                yield _from_line(line)


def read_last_step(folder: Path) -> list[LoggedRollout]:
    """The rollouts of the latest step, as far as they stand in the newest file; none where there are none."""
    lines = [line for path in rollout_files(folder)[-1:] for _, line in read_lines(path)]
    return [_from_line(line) for line in lines if line["step"] == lines[-1]["step"]]


class RolloutLog:
    """Appends to `rollouts/rollouts-000000.jsonl`, `-000001`, ... in a stage's folder; a file that would grow past
    `max_bytes` is closed for good, and only a single line longer than that makes a larger one. `exact` log-probs have
    the digits that give them back bit for bit."""

    def __init__(self, folder: Path, max_bytes: int = 64 * 2**20, *, exact: bool = False) -> None:
        self._folder, self._exact = folder, exact
        self._unsynced: set[Path] = set()
        self._max_bytes = max_bytes
        (folder / "rollouts").mkdir(parents=True, exist_ok=True)
        self._number = self._size = 0
        for path in rollout_files(folder)[-1:]:
            repair(path)
        self._find_end()

    def write(self, step: int, rollout: Rollout) -> None:
        """Append one rollout of update `step`; steps never fall."""
        line = _to_line(step, rollout, self._exact)
        if self._size and self._size + len(line) > self._max_bytes:
            self._number, self._size = self._number + 1, 0
        path = self._folder / "rollouts" / f"rollouts-{self._number:06d}.jsonl"
        with path.open("ab") as file:
            file.write(line)
        self._size += len(line)
        self._unsynced.add(path)

    def sync(self) -> None:
        """Return when the disk has what was written."""
        for path in self._unsynced:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        self._unsynced.clear()

    def truncate_after(self, step: int) -> None:
        """Forget the rollouts of later updates than `step`: they are about to be sampled again."""
        for path in reversed(rollout_files(self._folder)):
            cut_after(path, step)
            if path.stat().st_size > 0:
                break  # what was written before this is of earlier steps still
            path.unlink()
        self._find_end()

    def _find_end(self) -> None:
        files = rollout_files(self._folder)
        self._number = max(0, len(files) - 1)
        self._size = files[-1].stat().st_size if files else 0
