"""Answers in JSON: valid by a schema, and with the values that are known.

Text and a JsonGold in, Verdict out. How an answer has to be written is in `json_text`, what a schema may ask for in
`json_schema`. Of the known values, objects may leave names open at every level: what is named must be there and equal
(1 and 1.0 are, 1 and true and "1" are not); lists are equal as a whole.
"""

import json
from functools import lru_cache
from typing import Any

from ponder.records import JsonGold, Verdict
from ponder.verify.json_schema import Schema, TooMuch, Unusable, read_schema
from ponder.verify.json_text import MAX_DEPTH, Written, canonical, deeper_than, is_text, read_json

__all__ = ["check_json", "same_json", "verify_json"]

_SHOWN = 60


def verify_json(answer_text: str, gold: JsonGold) -> Verdict:
    """Right when the answer is one JSON value that the schema takes and that has the known values."""
    written = read_json(answer_text)
    if isinstance(written, str):
        return Verdict(outcome="wrong", reason=written)
    schema = _schema_of(gold)
    if isinstance(schema, str):
        return Verdict(outcome="cannot_tell", reason=schema, answer=written.text)
    try:
        fault = schema.fault(written.value)
    except TooMuch as error:
        return Verdict(outcome="cannot_tell", reason=str(error), answer=written.text)
    if fault is not None:
        return Verdict(outcome="wrong", reason=f"breaks the schema at {fault}", answer=written.text)
    other = None if gold.values is None else _other(written.value, gold.values, "$")
    if other is not None:
        return Verdict(outcome="wrong", reason=f"valid, but {other}", answer=written.text)
    known = "" if gold.values is None else " and has the known values"
    return Verdict(outcome="right", reason=f"valid by the schema{known}", answer=written.text, score=1.0)


def check_json(gold: JsonGold) -> str | None:
    """Why this gold is unusable, or None."""
    schema = _schema_of(gold)
    if isinstance(schema, str):
        return schema
    if gold.values is None:
        return None if set(gold.schema) - _SAYS_NOTHING else "the schema takes any value and no values are known"
    if deeper_than(gold.values, MAX_DEPTH) or not is_text(gold.values):
        return f"the known values are nested deeper than {MAX_DEPTH}, or no text"
    try:
        fault = schema.fault(gold.values, partial=True)
    except TooMuch as error:
        return f"the known values cannot be tested: {error}"
    return None if fault is None else f"the known values break the schema at {fault}"


def same_json(a: str, b: str, gold: JsonGold) -> bool:
    """Whether two texts hold equal values."""
    first, second = read_json(a), read_json(b)
    if isinstance(first, Written) and isinstance(second, Written):
        return canonical(first.value) == canonical(second.value)
    return False


_SAYS_NOTHING = frozenset(("$schema", "$id", "$comment", "title", "description", "default", "examples", "$defs"))


def _schema_of(gold: JsonGold) -> Schema | str:
    """The schema of a gold, or why it cannot be used."""
    try:
        text = json.dumps(gold.schema, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        return f"the schema is no JSON: {error}"
    return _read(text)


@lru_cache(maxsize=1024)
def _read(text: str) -> Schema | str:
    try:
        return read_schema(json.loads(text))
    except Unusable as error:
        return str(error)


def _other(value: Any, wanted: Any, place: str) -> str | None:
    """Where a value differs from what is wanted of it, or None."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return f"{place} is {_shown(value)}; expected an object"
        for name, item in wanted.items():
            if name not in value:
                return f"{place} has no {name!r}"
            if (other := _other(value[name], item, f"{place}.{name}")) is not None:
                return other
        return None
    if isinstance(wanted, list | tuple):
        if not isinstance(value, list) or len(value) != len(wanted):
            return f"{place} is {_shown(value)}; expected {_shown(wanted)}"
        others = (_other(one, item, f"{place}[{i}]") for i, (one, item) in enumerate(zip(value, wanted, strict=True)))
        return next((other for other in others if other is not None), None)
    same = canonical(value) == canonical(wanted)
    return None if same else f"{place} is {_shown(value)}; expected {_shown(wanted)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
