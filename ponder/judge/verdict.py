"""A judging model's verdict as one JSON object, read out of whatever stands around it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ponder.records import Outcome

__all__ = ["objects_of", "read_verdict"]

_MAX_STARTS = 50
_OBJECT = re.compile(r"""\{\s*(?:"[^"\n]*"|'[^'\n]*'|\w{4,})\s*:""")
"""A brace that begins an object, or what was meant as one; `{1, 2}` and `{x : x > 0}` do not."""
_BACKSLASH = re.compile(r'\\(\\|["/bfnrt]|u[0-9a-fA-F]{4})|\\')


def read_verdict(text: str, key: str, known: Mapping[str, Outcome]) -> tuple[Outcome, str] | None:
    """The value that `known` gives for the text under `key`, and the text under `analysis`; None where no object says
    one of the known words, or where another says something else."""
    found: dict[Outcome | None, str] = {}
    for value in objects_of(text):
        if key in value:
            word = value[key]
            outcome = known.get(word.strip().lower()) if isinstance(word, str) else None
            found[outcome] = str(value.get("analysis", ""))
    if len(found) != 1:
        return None
    ((outcome, analysis),) = found.items()
    return None if outcome is None else (outcome, analysis)


def objects_of(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text, one after the other; none at all where something meant as an object is none. What
    stands inside of that may be words of an answer that the judge quotes, and is never read as the judge's own."""
    try:
        return list(_objects(_BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", text)))
    except _Broken:
        return []


class _Broken(Exception):
    """What begins as an object cannot be read."""


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder(strict=False)  # models write line breaks inside strings
    place = text.find("{")
    for _ in range(_MAX_STARTS):
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            if _OBJECT.match(text, place):
                raise _Broken from None
            end = place + 1
        else:
            if isinstance(value, dict):
                yield value
        place = text.find("{", end)
