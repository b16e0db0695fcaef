"""Whether all that a JSON schema consists of can be used: its references, its patterns, its parts.

Every part is looked at that the schema holds or refers to. A `$ref` has to lead somewhere without anything being
fetched; parts that apply to the same value (`$ref`, `allOf`, `not`, ...) may not come round to where they began.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from ponder.verify.json_format import NO_FORMATS
from ponder.verify.json_pattern import Unreadable, pattern_test

__all__ = ["Unusable", "check_references"]

_MOST_PARTS = 5_000
_NOWHERE = (Unresolvable, ValueError, TypeError, AttributeError, LookupError)
"""What the library raises for references that lead nowhere, into a number, or are no address."""
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LISTS = ("allOf", "anyOf", "oneOf")
_ONE = ("not", "if", "then", "else")
_TOGETHER = ("unevaluatedProperties", "patternProperties")
"""What the library tests with patterns of its own, without a bound."""
_NAMED = ("dependentSchemas", "dependencies")


class Unusable(Exception):
    """A schema that nothing can be tested with; the message says why."""


def check_references(schema: Mapping[str, Any], draft: Any) -> None:
    """Unusable for a schema, `$schema` taken out of it, of which a part cannot be used."""
    specification = specification_with(draft.META_SCHEMA["$schema"])
    resource = specification.create_resource(schema)
    waiting = [(schema, SPECIFICATIONS.resolver_with_root(resource))]
    parts: list[Mapping[str, Any]] = []
    same_value: dict[int, list[Any]] = {}  # a part and those that apply to the same value
    while waiting:
        part, resolver = waiting.pop()
        if not isinstance(part, Mapping) or id(part) in same_value or id(part) in _standard():
            continue
        if len(same_value) >= _MOST_PARTS:
            raise Unusable(f"the schema has more than {_MOST_PARTS:,} parts")
        _check_part(part)
        parts.append(part)
        same_value[id(part)] = list(_in_place(part))
        here = specification.create_resource(part)
        resolver = resolver.in_subresource(here)
        try:
            inner = list(specification.subresources_of(part))
        except (TypeError, AttributeError) as error:  # of old drafts, whose own schemas let more pass
            raise Unusable(f"the schema cannot be taken apart: {error}") from None
        waiting += [(one, resolver) for one in inner]
        waiting += [(one, resolver) for one in same_value[id(part)]]
        for keyword in _REFERENCES:
            if isinstance(reference := part.get(keyword), str):
                try:
                    found = resolver.lookup(reference)
                except _NOWHERE:
                    raise Unusable(
                        f"{keyword} {reference!r:.120} leads nowhere within the schema, and nothing is fetched"
                    ) from None
                if id(found.contents) not in _standard():
                    _check_target(keyword, reference, found.contents, draft)
                same_value[id(part)].append(found.contents)
                waiting.append((found.contents, found.resolver))
    kept = [keyword for keyword in _TOGETHER if any(keyword in part for part in parts)]
    if len(kept) == len(_TOGETHER):
        raise Unusable(f"{' and '.join(kept)} in one schema are not tested together; use additionalProperties")
    _check_circles(same_value)


@cache
def _standard() -> frozenset[int]:
    """The parts of the drafts' own schemas, which are in order; a schema may refer to them."""
    found: set[int] = set()
    waiting: list[Any] = [SPECIFICATIONS[address].contents for address in SPECIFICATIONS]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping | list):
            found.add(id(part))
            waiting += part.values() if isinstance(part, Mapping) else part
    return frozenset(found)


def _check_target(keyword: str, reference: str, contents: Any, draft: Any) -> None:
    """What a reference leads to may stand where no schema is looked for, and so be none."""
    fault = f"it leads to {type(contents).__name__}" if not isinstance(contents, Mapping | bool) else ""
    try:
        if not fault:
            draft.check_schema(contents, format_checker=NO_FORMATS)
    except SchemaError as error:
        fault = error.message
    if fault:
        raise Unusable(f"{keyword} {reference!r:.120} leads to what is no schema: {fault:.120}")


def _check_part(part: Mapping[str, Any]) -> None:
    if isinstance(part.get("$schema"), str):
        raise Unusable("a part of the schema names a draft of its own ($schema); only the whole may")
    own = part.get("pattern")
    try:
        for pattern in (*part.get("patternProperties", ()), *([own] if isinstance(own, str) else [])):
            pattern_test(pattern)
    except Unreadable as error:
        raise Unusable(str(error)) from None


def _in_place(part: Mapping[str, Any]) -> Iterator[Any]:
    """The parts of a part that apply to the same value as it does."""
    for keyword in _LISTS:
        if isinstance(part.get(keyword), list):
            yield from part[keyword]
    yield from (part[keyword] for keyword in _ONE if keyword in part)
    for keyword in _NAMED:
        if isinstance(part.get(keyword), Mapping):
            yield from (one for one in part[keyword].values() if isinstance(one, Mapping))


def _check_circles(same_value: Mapping[int, list[Any]]) -> None:
    done: set[int] = set()
    for start in same_value:
        path: dict[int, Iterator[Any]] = {start: iter(same_value[start])}
        while path and start not in done:
            part, following = next(reversed(path.items()))
            further = next((id(one) for one in following if id(one) in same_value and id(one) not in done), None)
            if further is None:
                done.add(part)
                del path[part]
            elif further in path:
                raise Unusable("a $ref comes back to where it stands, so that testing a value would never end")
            else:
                path[further] = iter(same_value[further])
