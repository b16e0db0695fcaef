"""Calls of the user's own functions, and of judges, that gave no value: each a line in `own_failures.jsonl`; all calls
of one function, a stop.

A line holds the step, the problem, the completion's seed, the function, the cause, the reason and the traceback.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from ponder.errors import LearningError
from ponder.recipe.own import is_own
from ponder.records import Rollout
from ponder.rollout import Collected
from ponder.watch.lines import cut_after, dump_line, repair

__all__ = ["FAILURES", "FailureLog"]

FAILURES = "own_failures.jsonl"
_LEAST_CALLS = 4
"""Fewer, of many completions, say nothing about a function."""


class FailureLog:
    """The failures of one stage; there is no file where none have failed."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FAILURES
        if self._path.is_file():
            repair(self._path)

    def write(self, step: int, collected: Collected) -> None:
        """Append the failures of the rollout of update `step`. LearningError where a function failed whenever it was
        called, so that nothing is left to learn from it: no verifier is called where there is no answer, or for the
        problems of others."""
        if not collected.failures:
            return
        with self._path.open("ab") as file:
            for one in collected.failures:
                line = {"step": step, "problem": one.problem, "seed": one.seed, **asdict(one.failure)}
                file.write(dump_line(line))
        completions = sum(len(group.rollouts) for group in collected.groups)
        for function, count in Counter(one.failure.function for one in collected.failures).items():
            called = collected.calls.get(function, completions)
            if count == called >= min(completions, _LEAST_CALLS) and is_own(function):  # judges stop by themselves
                last = [one.failure for one in collected.failures if one.failure.function == function][-1]
                mend = f"mend the function and try it with `ponder try {function} --rollouts RUN`"
                if any(_failed_by(rollout) == function for group in collected.groups for rollout in group.rollouts):
                    mend = "mend the class; rollouts/ beside it holds what it was to answer"
                raise LearningError(
                    f"{function} gave nothing for any of the {called} completions of step {step}, the last time: "
                    f"{last.reason}. There is nothing to learn from. {self._path} lists them; {mend}."
                    f"\n{last.traceback}".rstrip()
                )

    def truncate_after(self, step: int) -> None:
        """Forget the failures of later updates: their completions are about to be sampled again."""
        if self._path.is_file():
            cut_after(self._path, step)


def _failed_by(rollout: Rollout) -> str:
    """The class of the user's own that did not answer in a conversation."""
    talk = rollout.completion.talk
    return "" if talk is None else talk.failed_by
