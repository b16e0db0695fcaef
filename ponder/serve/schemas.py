"""JSON schemas in the words that llguidance knows. Pure.

What binds nothing is left out, what it would get wrong is written so that it does not, or refused; a value that keeps
to the result keeps to the schema. Formats that are not known are annotations.
"""

import copy
import math
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any
from urllib.parse import unquote

from ponder.errors import DataError

__all__ = ["FORMATS", "plain"]

FORMATS = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"},
)
"""The formats that replies keep to."""

_HERE = ("allOf", "anyOf", "oneOf")
"""Lists of schemas of the same value, not of a part of it."""
_LISTS = (*_HERE, "prefixItems", "items", "additionalItems", "additionalProperties")
"""A schema, or a list of schemas."""
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_LOWER, _UPPER = ("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")
_EXACT = 2**53
"""Up to here doubles, in which llguidance holds numbers, hold every integer."""
_LARGEST = 2**63 - 2**10
"""The largest double that fits into the 64 bits in which it makes ranges."""

_Schema = dict[str, Any]


def plain(schema: Mapping[str, Any]) -> _Schema:
    """A schema that says the same; DataError for one that cannot be said so."""
    root = copy.deepcopy(dict(schema))
    root.pop("x-guidance", None)  # llguidance's own word, which could make it lenient
    found: dict[int, _Schema] = {}
    leads: dict[int, list[int]] = {}  # schemas -> those of the same value that they name
    waiting: list[object] = [root]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict) or id(one) in found:
            continue
        found[id(one)] = one
        here = [_target(root, one.get("$ref")), *_of(one, _HERE)]
        leads[id(one)] = [id(other) for other in here if isinstance(other, dict)]
        waiting += [*here, *_of(one, _LISTS), *(inner for map_ in _of(one, _MAPS) for inner in _values(map_))]
        _mend(one)
    _check_ends(found, leads)
    return root


def _of(schema: _Schema, names: tuple[str, ...]) -> Iterator[Any]:
    """What stands under these names, of lists each for itself."""
    for name in names:
        value = schema.get(name)
        yield from value if isinstance(value, list) else [value]


def _values(value: object) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else []


def _target(root: _Schema, reference: object) -> object:
    """What a `$ref` within the schema points to; None for one that is written in another way."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    place: Any = root
    for word in unquote(reference[1:]).split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            place = place[int(name)] if name.isdecimal() and int(name) < len(place) else None
        else:
            place = place.get(name) if isinstance(place, dict) else None
    return place if reference == "#" or reference.startswith("#/") else None


def _check_ends(found: Mapping[int, _Schema], leads: Mapping[int, list[int]]) -> None:
    """DataError for a schema that leads back to itself before any part of the value is looked at."""
    try:
        TopologicalSorter(leads).prepare()
    except CycleError as error:
        named = [found[one]["$ref"] for one in error.args[1] if "$ref" in found[one]]
        raise DataError(
            f"the $ref {named[0][:40]!r} leads back to itself before anything of a value is looked at: it may stand in "
            f"properties or items of what it names"
        ) from None


def _mend(schema: _Schema) -> None:
    """Of its own words those that llguidance does not know, or takes for others."""
    if schema.get("uniqueItems") is False:
        del schema["uniqueItems"]
    if isinstance(name := schema.get("format"), str) and name not in FORMATS:
        del schema["format"]
    for name in _COUNTS:
        if isinstance(count := schema.get(name), float) and count.is_integer():
            schema[name] = int(count)
    for name in ("const", "enum"):
        _check_held(schema.get(name), name)
    _tighten(schema)


def _check_held(value: object, name: str) -> None:
    """DataError for an integer in a constant that would become another one as a double."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | dict):
            waiting += one if isinstance(one, list) else one.values()
        elif isinstance(one, int) and abs(one) > _EXACT and (abs(one) > _LARGEST or int(float(one)) != one):
            raise DataError(f"{name} holds {str(one)[:40]}, of which not all digits can be kept: write it as a string")


def _tighten(schema: _Schema) -> None:
    """Bounds beyond what doubles hold exactly are moved inwards to numbers that they hold, and stand at both ends."""
    for name in ("exclusiveMinimum", "exclusiveMaximum"):
        if isinstance(schema.get(name), bool):
            raise DataError(
                f"{name} is {str(schema[name]).lower()}, as draft 4 had it: it is the bound itself, such as {name}: "
                f"10, in place of {name.removeprefix('exclusive').lower()}"
            )
    large = [name for name in (*_LOWER, *_UPPER) if _is_large(schema.get(name))]
    for name in large:
        bound = schema[name]
        schema[name] = _raised(bound, name) if name in _LOWER else -_raised(-bound, name)
    if large:
        schema.setdefault("minimum", -_LARGEST)
        schema.setdefault("maximum", _LARGEST)


def _is_large(bound: object) -> bool:
    return isinstance(bound, int | float) and abs(bound) >= _EXACT


def _raised(bound: float, name: str) -> int:
    """The least integer that a double holds and this lower bound allows."""
    if bound < -_LARGEST:
        return -_LARGEST
    if bound <= _LARGEST:
        held = float(bound)
        if held < bound or (held == bound and name.startswith("exclusive")):
            held = math.nextafter(held, math.inf)
        if held <= _LARGEST:
            return int(held)
    raise DataError(f"{name} allows no number that can be written here, which are at most {_LARGEST:.0e} either way")
