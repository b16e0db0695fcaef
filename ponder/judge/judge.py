"""What a judge is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ponder.records import Problem, Verdict

__all__ = ["Answered", "Judge", "Pair", "Preference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One response to a problem: `answer` is what stands after the thinking, `response` the whole of it."""

    problem: Problem
    answer: str
    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one problem."""

    problem: Problem
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """By how much the first answer is better, from 2 (much) to -2 (the second is much better), the mean of `votes`;
    None with a `reason` where it cannot be told."""

    difference: float | None
    votes: int
    reason: str


class Judge(Protocol):
    """Anything that judges; all three verbs take many items, since models are asked side by side."""

    def correct(self, items: Sequence[Answered]) -> list[Verdict]:
        """Whether each answer agrees with the problem's gold."""
        ...

    def compare(self, pairs: Sequence[Pair]) -> list[Preference]:
        """Which answer of each pair is better."""
        ...

    def safe(self, items: Sequence[Answered]) -> list[Verdict]:
        """Whether each whole response is safe: right for safe, wrong for unsafe."""
        ...

    def harmless(self, problems: Sequence[Problem]) -> list[Verdict]:
        """Whether each request is harmless to answer: right for harmless, wrong for unsafe."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What happened so far, such as `off_format`."""
        ...
