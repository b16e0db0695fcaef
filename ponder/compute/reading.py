"""The answers of samples as votes compare them.

An answer is what the verifier reads: that of a check where there is one, else that of mathematics. Where no sample
gives an answer that can be read so ("Paris"), the words of the answers are compared as they stand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ponder.compute.vote import Same
from ponder.records import Gold, MathGold, Verdict
from ponder.verify import same_answer
from ponder.verify.answer import find_answer

__all__ = ["Comparisons", "Read", "gold_to_read", "read", "same_of"]

_NO_GOLD = MathGold(answer="7310293847561029384756102938475610293847")
"""Something that no answer is: reading needs a gold, and here nothing is asked but what the answer says."""
_MOST_WORDS = 200
"""Characters up to which an answer in words is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What an answer says, and the verdict where there is a check. Example: Read(answer="42", words="it is 42")."""

    answer: str | None
    words: str | None = None
    verdict: Verdict | None = None


def gold_to_read(gold: Gold | None) -> Gold:
    """What the verifier is given, so that it reads an answer; without a gold its outcome means nothing."""
    return _NO_GOLD if gold is None else gold


def read(answer_text: str | None, verdict: Verdict, gold: Gold | None) -> Read:
    """What the text behind the thinking says, from the verdict on it."""
    if gold is not None:
        return Read(answer=verdict.answer, verdict=verdict)
    found = None if answer_text is None else find_answer(answer_text).text
    words = None if found is None else " ".join(found.split()).rstrip(".").casefold()
    return Read(answer=verdict.answer, words=words if words and len(words) <= _MOST_WORDS else None)


def same_of(gold: Gold | None) -> Same:
    """Whether two answers mean the same, asked of the verifier in this process."""
    known = gold_to_read(gold)
    return lambda a, b: same_answer(a, b, known)


@dataclass(slots=True)
class Comparisons:
    """Which answers mean the same, as far as it has been asked. Whoever asks elsewhere, such as in a pool, asks for
    `missing` and tells what came of it to `learn`."""

    _known: dict[frozenset[str], bool] = field(default_factory=dict)

    def same(self, a: str, b: str) -> bool:
        """Whether they do; equal texts always."""
        return a == b or self._known[frozenset((a, b))]

    def missing(self, answers: Sequence[str | None]) -> list[tuple[str, list[str]]]:
        """Each answer with the others that it has not been compared with."""
        distinct = list(dict.fromkeys(answer for answer in answers if answer is not None))
        found = []
        for place, answer in enumerate(distinct):
            others = [one for one in distinct[:place] if frozenset((answer, one)) not in self._known]
            if others:
                found.append((answer, others))
        return found

    def learn(self, answer: str, others: Sequence[str], same: Sequence[bool]) -> None:
        """What came of a comparison."""
        for other, value in zip(others, same, strict=True):
            self._known[frozenset((answer, other))] = value
