"""The JSON value that an answer is: the whole answer, or the one code fence that it consists of.

    answer text -> Written (the text of the value, the value), or why there is none

Strict, as whoever is to read the value by machine: nothing may stand around it. No name may stand twice in an object,
and NaN, Infinity, comments, single quotes and trailing commas are no JSON. Bounded: characters, depth, digits.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

__all__ = ["MAX_DEPTH", "Written", "canonical", "deeper_than", "is_text", "read_json"]

_MAX_CHARS = 50_000
MAX_DEPTH = 64
"""Of lists and objects in each other."""
_MAX_DIGITS = 300
"""Of a whole number; what has more is no number elsewhere."""
_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A value with the text that it was read from."""

    text: str
    value: Any


class _NotJson(ValueError):
    """What the reader of JSON would let pass."""


def read_json(answer_text: str) -> Written | str:
    """The value, or why there is none."""
    text = _bare(answer_text)
    if not text:
        return "no answer: nothing stands after the thinking"
    if len(text) > _MAX_CHARS:
        return f"the answer has more than {_MAX_CHARS} characters"
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole, parse_float=_decimal
        )
    except json.JSONDecodeError as error:
        return _described(text, error)
    except _NotJson as error:
        return f"not JSON: {error}"
    except RecursionError:
        return f"not read: nested deeper than {MAX_DEPTH}"
    if deeper_than(value, MAX_DEPTH):
        return f"not read: nested deeper than {MAX_DEPTH}"
    if not is_text(value):
        return "not JSON: half of a surrogate pair is no text"
    return Written(text=text, value=value)


def deeper_than(value: Any, most: int) -> bool:
    """Whether lists and objects are nested deeper; looked at level by level, so that no depth is too much."""
    level = [value]
    for _ in range(most + 1):
        level = [item for one in level if isinstance(one, dict | list) for item in _items(one)]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def is_text(value: Any) -> bool:
    """Whether all texts in a value can be written down."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical(value: Any) -> str:
    """A text that equal values share: numbers by value, the names of an object in order."""
    return json.dumps(_plain_numbers(value), sort_keys=True)


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in value.items()}
    return [_plain_numbers(item) for item in value] if isinstance(value, list) else value


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _bare(answer_text: str) -> str:
    """The answer without the thinking, the tags and the one fence around it."""
    text = answer_text.rpartition("</think>")[2].strip()
    if text.startswith("<answer>") and text.endswith("</answer>"):
        text = text.removeprefix("<answer>").removesuffix("</answer>").strip()
    opening, line_break, rest = text.partition("\n")
    if line_break and opening.strip().lower() in ("```", "```json") and rest.endswith("```"):
        text = rest.removesuffix("```").strip()
    return text


def _described(text: str, error: json.JSONDecodeError) -> str:
    if error.msg == "Extra data":
        return f"not JSON alone: {text[error.pos : error.pos + _SHOWN]!r} stands after the value"
    if text[0] not in '{["-0123456789tfn':
        return f"not JSON: the answer begins with {text[:_SHOWN]!r}"
    return f"not JSON: {error.msg} at character {error.pos + 1}, before {text[error.pos : error.pos + _SHOWN]!r}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotJson(f"the name {twice[:_SHOWN]!r} stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise _NotJson(f"{name} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _NotJson(f"a number has more than {_MAX_DIGITS} digits")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _NotJson(f"the number {digits[:_SHOWN]} is too large")
    return value
