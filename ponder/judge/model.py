"""A model as judge. A reply that does not follow the form is asked for once more; after that it cannot be told."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from ponder.ask import Ask, Asker, ask_all
from ponder.judge.correctness import ask_correctness, read_correctness
from ponder.judge.judge import Answered, Pair, Preference
from ponder.judge.pairwise import ask_preference, read_preference
from ponder.judge.safety import ask_request_safety, ask_safety, read_safety
from ponder.records import Message, Outcome, Problem, Verdict
from ponder.seeds import derive_seed

__all__ = ["ModelJudge"]

_TRIES = 2
_LEAST_VOTES = 0.5
"""Share of the votes on a pair that must be readable."""
_OFF_FORMAT = "the judge's replies do not follow the form"

Read = TypeVar("Read")


class ModelJudge:
    """See `Judge`. `votes` is how often each pair is judged, in an order drawn from `seed`."""

    def __init__(self, asker: Asker, *, seed: int, votes: int = 4) -> None:
        self._asker, self._seed, self._votes = asker, seed, votes
        self._counters: Counter[str] = Counter()

    def correct(self, items: Sequence[Answered]) -> list[Verdict]:
        """See `Judge`; an answer to a problem without gold has no reference and cannot be told."""
        known = [i for i, item in enumerate(items) if item.problem.gold is not None]
        asks = [(f"{items[i].problem.id} correctness", ask_correctness(items[i]), 0) for i in known]
        found = dict(zip(known, self._read(asks, read_correctness), strict=True))
        no_gold = "the problem has no reference answer"
        return [_verdict(found[i]) if i in found else _cannot_tell(no_gold) for i in range(len(items))]

    def compare(self, pairs: Sequence[Pair]) -> list[Preference]:
        """The mean of the votes; about half of them see the answers in the other order."""
        asks: list[tuple[str, tuple[Message, ...], int]] = []
        signs: list[int] = []
        for pair in pairs:
            for vote in range(self._votes):
                turned = derive_seed(self._seed, "order", pair.problem.id, pair.first, pair.second, vote) % 2 == 1
                first, second = (pair.second, pair.first) if turned else (pair.first, pair.second)
                asks.append((f"{pair.problem.id} preference", ask_preference(pair.problem, first, second), vote))
                signs.append(-1 if turned else 1)
        votes = self._read(asks, read_preference)
        turned_back = [None if vote is None else sign * vote for vote, sign in zip(votes, signs, strict=True)]
        return [_mean(turned_back[i : i + self._votes]) for i in range(0, len(asks), self._votes)]

    def safe(self, items: Sequence[Answered]) -> list[Verdict]:
        """See `Judge`."""
        asks = [(f"{item.problem.id} safety", ask_safety(item), 0) for item in items]
        return [_verdict(found) for found in self._read(asks, read_safety)]

    def harmless(self, problems: Sequence[Problem]) -> list[Verdict]:
        """See `Judge`."""
        asks = [(f"{one.id} request", ask_request_safety(one.prompt), 0) for one in problems]
        return [_verdict(found) for found in self._read(asks, read_safety)]

    def counters(self) -> Mapping[str, int]:
        """`asked`, `failed`, `off_format` (replies) and `cannot_tell` (questions without any readable reply)."""
        return dict(self._counters)

    def _read(
        self, asks: Sequence[tuple[str, tuple[Message, ...], int]], read: Callable[[str], Read | None]
    ) -> list[Read | None]:
        """What each reply says, asked again where it says nothing."""
        found: dict[int, Read] = {}
        for attempt in range(_TRIES):
            todo = [i for i in range(len(asks)) if i not in found]
            again = [
                Ask(id=name, messages=messages, number=_TRIES * number + attempt)
                for name, messages, number in (asks[i] for i in todo)
            ]
            for i, reply in zip(todo, ask_all(self._asker, again) if again else [], strict=True):
                cut = reply.failure or reply.finish_reason == "length"  # a verdict may still have been to come
                value = None if cut else read(self._asker.split(reply).answer or "")
                self._counters["asked"] += 1
                self._counters["failed"] += bool(reply.failure)
                self._counters["off_format"] += not reply.failure and value is None
                if value is not None:
                    found[i] = value
        self._counters["cannot_tell"] += len(asks) - len(found)
        return [found.get(i) for i in range(len(asks))]


def _verdict(found: tuple[Outcome, str] | None) -> Verdict:
    if found is None:
        return _cannot_tell(_OFF_FORMAT)
    outcome, analysis = found
    return Verdict(outcome=outcome, reason=f"judged: {analysis}", score=1.0 if outcome == "right" else 0.0)


def _cannot_tell(reason: str) -> Verdict:
    return Verdict(outcome="cannot_tell", reason=reason)


def _mean(votes: Sequence[int | None]) -> Preference:
    readable = [vote for vote in votes if vote is not None]
    if len(readable) < max(1.0, _LEAST_VOTES * len(votes)):
        return Preference(difference=None, votes=len(readable), reason=_OFF_FORMAT)
    shown = ", ".join(f"{vote:+d}" for vote in readable)
    return Preference(difference=fmean(readable), votes=len(readable), reason=f"votes {shown}")
