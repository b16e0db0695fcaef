"""What an answer is checked against, as a request or an option says it, becomes a gold of the verifiers."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ponder.compute.check_words import check_said
from ponder.errors import DataError
from ponder.nearest import did_you_mean
from ponder.records import (
    AssignmentGold,
    ChoiceGold,
    CodeGold,
    ExpressionGold,
    Gold,
    InstructionGold,
    JsonGold,
    MathGold,
    RuleGold,
)
from ponder.verify import check_gold

__all__ = ["CHECKS", "check_of", "read_check"]

CHECKS: Mapping[str, type[Any]] = {
    "math": MathGold,
    "choice": ChoiceGold,
    "expression": ExpressionGold,
    "assignment": AssignmentGold,
    "code": CodeGold,
    "instructions": InstructionGold,
    "json": JsonGold,
    "rule": RuleGold,
}
"""What can be checked, by `kind`."""

_MOST_SECONDS = 10.0
"""Longest time of its own that a program may ask for."""
_MOST_TESTS = 100


def read_check(value: Mapping[str, Any]) -> Gold:
    """The gold of `{"kind": "expression", "numbers": [3, 7, 25], "target": 46}` and the like: its other keys are the
    fields of the gold of that kind in `records`. Raises DataError for what is none, or cannot be used to judge."""
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in CHECKS:
        raise DataError(f"A check has a kind, one of {', '.join(CHECKS)}; got {json.dumps(kind, default=str)[:80]}.")
    known = [field.name for field in fields(CHECKS[kind])]
    for name in value:
        if name not in known:
            raise DataError(f"A check of kind {kind!r} has no {name!r}{did_you_mean(name, {*known} - {'kind'})}")
    try:
        gold: Gold = TypeAdapter(CHECKS[kind]).validate_json(json.dumps(dict(value)), strict=True)
    except (ValidationError, UnicodeEncodeError, TypeError) as error:
        raise DataError(f"The check of kind {kind!r} cannot be read: {_first(error)}.") from None
    if isinstance(gold, CodeGold) and (len(gold.tests) > _MOST_TESTS or (gold.seconds or 0.0) > _MOST_SECONDS):
        raise DataError(
            f"A check of code takes at most {_MOST_TESTS} tests and {_MOST_SECONDS:g} seconds, got {len(gold.tests)} "
            f"tests and {gold.seconds} seconds."
        )
    if (problem := check_gold(gold)) is not None:
        raise DataError(f"The check cannot be used: {problem}.")
    return gold


def check_of(text: str) -> Gold:
    """The same from an option, as `check_said` takes it; DataError."""
    return read_check(check_said(text))


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    one = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in one["loc"])
    return f"{place}: {one['msg']}" if place else one["msg"]
