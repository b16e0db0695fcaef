"""Why a row is no problem; and the words with which a wrong name is answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from ponder.records import Problem

__all__ = ["Candidate", "LeftOut", "RowFault", "known_names"]

_MAX_NAMES = 60


class RowFault(Exception):
    """A row cannot become a problem; the message says why. Caught by the loader, which lists the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A row that is not used. Example: LeftOut(source="gsm8k/train", row=17, reason="column 'answer' is empty").

    Rows count from 1: lines in a JSONL file, otherwise rows of data without the header.
    """

    source: str
    row: int
    reason: str


Candidate = tuple[int, Problem | str]
"""A row's number with its problem, or with the reason why it is none."""


def known_names(wrong: str, names: Iterable[str]) -> str:
    """The names there are, the nearest one first: `Did you mean 'question'? There are: answer, question`."""
    known = sorted(names)
    lowered = {name.casefold(): name for name in reversed(known)}
    near = get_close_matches(wrong.casefold(), lowered, n=1, cutoff=0.5)
    meant = f"Did you mean {lowered[near[0]]!r}? " if near else ""
    if not known:
        return "There are none"
    more = f" and {len(known) - _MAX_NAMES} more" if len(known) > _MAX_NAMES else ""
    return f"{meant}There are: {', '.join(known[:_MAX_NAMES])}{more}"
