"""pydantic's complaints about a recipe in words a person can act on: place, key, got, expected."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ponder.nearest import did_you_mean
from ponder.recipe.describe import component_at, tag_of
from ponder.recipe.source import Source, Where, dotted

__all__ = ["explain"]

_MOST_SHOWN = 10
_LONGEST_VALUE = 60
_WANTED = ", expected "

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number (100_000 is fine, 1e5 is not)",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text (put it in quotes)",
    "tuple_type": "a list: [...]",
    "dict_type": "a mapping of keys to values",
    "too_short": "at least one",
    "string_pattern_mismatch": "letters, digits, `.`, `_` and `-` only, the first a letter or digit",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "missing_positional_only_argument": "a value",
}
"""What a pydantic error type says was expected."""


def explain(error: ValidationError, source: Source) -> str:
    """One line per complaint, each with the file and line (or the override) it is about."""
    found = error.errors(include_url=False)
    details = [one for one in found if not (one["type"] == "too_short" and _holds_another(one, found))]
    lines = _either([_line(detail, source) for detail in details])
    if len(lines) > _MOST_SHOWN:
        lines[_MOST_SHOWN:] = [f"and {len(lines) - _MOST_SHOWN} more"]
    return "\n".join(lines)


def _either(lines: Sequence[str]) -> list[str]:
    """One line for a value that is none of several things."""
    expected: dict[str, list[str]] = {}
    for line in lines:
        got, _, wanted = line.partition(_WANTED)
        expected.setdefault(got, []).append(wanted)
    return [
        got + (_WANTED + ", or ".join(dict.fromkeys(wanted)) if any(wanted) else "") for got, wanted in expected.items()
    ]


def _holds_another(detail: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a complaint is about a part of what this one is about: a list whose items are wrong is not too short."""
    place = detail["loc"]
    return any(len(one["loc"]) > len(place) and one["loc"][: len(place)] == place for one in found)


def _line(detail: ErrorDetails, source: Source) -> str:
    where = _without_tags(detail["loc"], source.data)
    place = where
    if detail["type"] == "union_tag_invalid":  # what is wrong is the tag, not all that stands around it
        place = (*where, str(detail["ctx"]["discriminator"]).strip("'"))
    reason = _reason(detail, where, source)
    also = [name for name in dict.fromkeys(_overrides(detail, where, source)) if name != source.origin(place)]
    return f"{source.origin(place)}{', with ' if also else ''}{' and '.join(also)}: {reason}"


def _overrides(detail: ErrorDetails, where: Where, source: Source) -> Iterator[str]:
    """The overrides that a complaint about something larger comes from: of the values that it speaks of, or of the tag
    that says which keys there are."""
    if detail["type"] == "value_error":
        said = set(re.findall(r"\w+", str(detail["ctx"]["error"])))
        for place, name in source.overridden(where):
            if said & {str(part) for part in place[len(where) :]}:
                yield name
    if detail["type"] in ("missing", "extra_forbidden"):
        component = component_at(source, where[:-1])
        tag = tag_of(component) if component is not None else None
        for place, name in source.overridden(where[:-1]):
            if tag is not None and place == (*where[:-1], tag[0]):
                yield name


def _reason(detail: ErrorDetails, where: Where, source: Source) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    place, got = dotted(where) or source.called, _shown(detail["input"])
    if kind == "extra_forbidden":
        component = component_at(source, where[:-1])
        fields = component.model_fields if component is not None else ()
        return f"unknown key {where[-1]!r} in {_named(where[:-1], source)}{did_you_mean(str(where[-1]), fields)}"
    if kind == "missing" and isinstance(where[-1], int):
        return f"{dotted(where[:-1])}: got {where[-1]} value{'' if where[-1] == 1 else 's'}, expected more"
    if kind == "too_long":
        return f"{place}: got {context['actual_length']} values, expected {context['max_length']}"
    if kind == "missing":
        component = component_at(source, where[:-1])
        meaning = component.model_fields[str(where[-1])].description if component is not None else None
        return f"{_named(where[:-1], source)} needs {where[-1]!r}, which has no default ({_sentence(meaning)})"
    if kind == "union_tag_not_found":
        key = str(context["discriminator"]).strip("'")
        return f"{place} needs {key!r}, which says what it is; docs/recipe.md lists what there is"
    if kind == "union_tag_invalid":
        known = _words(str(context["expected_tags"]))
        return f"{place}: unknown {context['discriminator']} {context['tag']!r}{did_you_mean(context['tag'], known)}"
    if kind == "literal_error":
        near = did_you_mean(detail["input"], _words(context["expected"])) if isinstance(detail["input"], str) else ""
        return f"{place}: got {got}, expected {context['expected']}{near if 'did you' in near else ''}"
    if kind == "value_error":
        return f"{_named(where, source)}: {context['error']}"
    if (
        kind == "float_type"
        and isinstance(detail["input"], str)
        and detail["input"].lstrip("+-").lower() in (".nan", ".inf")
    ):
        return f"{place}: got {detail['input']}, expected {_EXPECTED['finite_number']}"
    return f"{place}: got {got}, expected {_EXPECTED.get(kind) or _plain(detail['msg'])}"


def _without_tags(location: Sequence[str | int], data: Any) -> Where:
    """The location as the user wrote it: pydantic inserts the tag of each alternative it went through, and names those
    that a value without parts could have been."""
    where: list[str | int] = []
    node, fresh = data, False
    for part in location:
        if fresh and isinstance(node, dict) and part in (node.get("kind"), node.get("source")):
            fresh = False
            continue
        if not isinstance(node, dict | list):
            break
        where.append(part)
        if isinstance(node, dict):
            node, fresh = node.get(str(part)), True
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node, fresh = node[part], True
        else:
            node, fresh = None, False
    return tuple(where)


def _named(where: Where, source: Source) -> str:
    """`stages.zero (rl)`: the place and which alternative stands there."""
    component = component_at(source, where)
    tag = tag_of(component) if component is not None else None
    return (dotted(where) or source.called) + (f" ({tag[1]})" if tag is not None else "")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing (null)"
    if isinstance(value, str):
        kind = "the text "
    elif isinstance(value, dict):
        kind = "the mapping "
    elif isinstance(value, list):
        kind = "the list "
    else:
        kind = ""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return kind + (text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "...")


def _sentence(text: str | None) -> str:
    return " ".join((text or "not documented").split()).rstrip(".")


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("Value should ")


def _words(quoted: str) -> list[str]:
    """The words of pydantic's `'a', 'b' or 'c'`."""
    return quoted.replace(" or ", ", ").replace("'", "").split(", ")
