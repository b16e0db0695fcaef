"""Chance as judge: what is learnt from it is noise, so it is a control for the judges that read."""

from collections.abc import Mapping, Sequence

from ponder.judge.judge import Answered, Pair, Preference
from ponder.records import Problem, Verdict
from ponder.seeds import derive_seed

__all__ = ["ChanceJudge"]

_FULL = 2.0
_REASON = "chance"


class ChanceJudge:
    """See `Judge`. The same text on the same problem is always judged alike."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def correct(self, items: Sequence[Answered]) -> list[Verdict]:
        """Half of them are."""
        return [self._verdict("correct", one.problem.id, one.answer) for one in items]

    def compare(self, pairs: Sequence[Pair]) -> list[Preference]:
        """One of the two is much better."""
        drawn = [self._heads("compare", one.problem.id, one.first, one.second) for one in pairs]
        return [Preference(difference=_FULL if first else -_FULL, votes=1, reason=_REASON) for first in drawn]

    def safe(self, items: Sequence[Answered]) -> list[Verdict]:
        """Half of them are."""
        return [self._verdict("safe", one.problem.id, one.response) for one in items]

    def harmless(self, problems: Sequence[Problem]) -> list[Verdict]:
        """Half of them are."""
        return [self._verdict("harmless", one.id) for one in problems]

    def counters(self) -> Mapping[str, int]:
        """None."""
        return {}

    def _verdict(self, *parts: str) -> Verdict:
        heads = self._heads(*parts)
        return Verdict(outcome="right" if heads else "wrong", reason=_REASON, score=float(heads))

    def _heads(self, *parts: str) -> bool:
        return derive_seed(self._seed, *parts) % 2 == 0
