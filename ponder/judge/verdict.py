"""A judging model's verdict as one JSON object, read out of whatever stands around it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ponder.records import Outcome

__all__ = ["objects_of", "read_verdict"]

_MAX_STARTS = 50


def read_verdict(text: str, key: str, known: Mapping[str, Outcome]) -> tuple[Outcome, str] | None:
    """The value that `known` gives for the text under `key`, and the text under `analysis`; None where no object, or
    several that disagree, say one of the known words."""
    found: dict[Outcome, str] = {}
    for value in objects_of(text):
        word = value.get(key)
        if isinstance(word, str) and word.strip().lower() in known:
            found[known[word.strip().lower()]] = str(value.get("analysis", ""))
    return next(iter(found.items())) if len(found) == 1 else None


def objects_of(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, one after the other."""
    decoder = json.JSONDecoder(strict=False)  # models write line breaks inside strings
    place = text.find("{")
    for _ in range(_MAX_STARTS):
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict):
                yield value
        place = text.find("{", end)
