"""A JSON schema made into a test of values whose work is bounded, whatever schema and value are.

    schema -> Schema, or Unusable with the reason;  Schema.fault(value) -> what breaks it, or None

`jsonschema` validates; every draft that `$schema` names is taken, from 3 to 2020-12, and the last where it names none.
Ours are the bounds: patterns are matched by RE2, nothing is fetched (a `$ref` must lead into the schema itself, or to a
draft's own schema), a `$ref` that comes back to where it stands is refused, and a test ends after so many keywords, at
so many within each other. Keywords are counted, not seconds, so that a verdict is the same on every machine.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import Draft202012Validator, extend, validator_for
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing.exceptions import Unresolvable

from ponder.verify.json_format import FORMATS, NO_FORMATS
from ponder.verify.json_pattern import pattern_test
from ponder.verify.json_references import Unusable, check_references
from ponder.verify.json_text import MAX_DEPTH, canonical, deeper_than

__all__ = ["Schema", "TooMuch", "Unusable", "read_schema"]

_MAX_CHARS = 200_000
_MOST_KEYWORDS = 40_000
"""Tested for one value."""
_MOST_WITHIN = 150
"""Keywords within each other: more come of a schema that goes round in circles."""
_SHOWN = 200
_LAST = ("http://json-schema.org/schema", "https://json-schema.org/schema")
"""Names of whatever draft is the last."""
_DRAFTS = (
    *(f"http://json-schema.org/draft-0{number}/schema#" for number in (3, 4, 6, 7)),
    *(f"https://json-schema.org/draft/{year}/schema" for year in ("2019-09", "2020-12")),
)
"""The names of all drafts that are known."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooMuch(Exception):
    """Testing a value takes more keywords than are allowed."""


class _Work:
    """What a test has done so far."""

    def __init__(self) -> None:
        self.keywords = self.within = 0

    def enter(self) -> None:
        self.keywords += 1
        self.within += 1
        if self.keywords > _MOST_KEYWORDS:
            raise TooMuch(f"testing it takes more than {_MOST_KEYWORDS:,} keywords of the schema")
        if self.within > _MOST_WITHIN:
            raise TooMuch(f"testing it takes more than {_MOST_WITHIN} keywords of the schema within each other")


_WORK: ContextVar[_Work] = ContextVar("ponder_json_work")


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that can be used."""

    _validator: Any

    def fault(self, value: Any, partial: bool = False) -> str | None:
        """The first thing that breaks the schema, or None; of a value of which parts may be missing only what is wrong
        whatever else there is. Raises TooMuch."""
        token = _WORK.set(_Work())
        try:
            errors = self._validator.iter_errors(value)
            return next((_said(error) for error in errors if not partial or error.validator in _BY_ITSELF), None)
        except RecursionError:
            raise TooMuch("testing it goes deeper than can be followed") from None
        finally:
            _WORK.reset(token)


_BY_ITSELF = frozenset(
    (
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "maxItems", "uniqueItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "additionalProperties"),
    )
)
"""Keywords that a value breaks whatever else stands beside it."""


def read_schema(schema: Any) -> Schema:
    """The test; Unusable where there is none."""
    if not isinstance(schema, Mapping):
        raise Unusable(f"the schema is {type(schema).__name__} {schema!r:.80}; expected an object")
    if deeper_than(schema, MAX_DEPTH):
        raise Unusable(f"the schema is nested deeper than {MAX_DEPTH}")
    if len(canonical(schema)) > _MAX_CHARS:
        raise Unusable(f"the schema has more than {_MAX_CHARS:,} characters")
    draft = _draft(schema.get("$schema"))
    try:
        draft.check_schema(schema, format_checker=NO_FORMATS)
    except SchemaError as error:
        raise Unusable(f"the schema is invalid: {_said(error)}") from None
    # Without its name, which would make the library test references to the root with its own, unbounded keywords.
    own = {name: value for name, value in schema.items() if name != "$schema"}
    try:
        check_references(own, draft)
        bounded = _bounded(draft)(own, registry=SPECIFICATIONS, format_checker=FORMATS)
    except (RecursionError, Unresolvable, ValueError) as error:  # a ValueError for an `$id` that is no address
        raise Unusable(f"the schema cannot be followed: {error}") from None
    return Schema(bounded)


def _draft(named: Any) -> Any:
    """The validator of the draft that a schema names."""
    if named is None or (isinstance(named, str) and named.rstrip("#") in _LAST):
        return Draft202012Validator
    for name in (named, _otherwise(named)) if isinstance(named, str) else ():
        try:
            draft = validator_for({"$schema": name}, default=None)
        except ValueError:  # it is no address
            continue
        if draft is not None:
            return draft
    raise Unusable(
        f"the schema is of the draft {named!r:.80}, which is not known; expected one of {', '.join(_DRAFTS)}"
    )


def _otherwise(named: str) -> str:
    """http for https, and the other way round: which of them a draft's name begins with is often mistaken."""
    scheme, rest = named.partition("://")[::2]
    return f"{'http' if scheme == 'https' else 'https'}://{rest}"


@cache
def _bounded(draft: Any) -> Any:
    """The draft's validator with its keywords counted and those of ours."""
    return extend(draft, {name: _counted(_OWN.get(name, keyword)) for name, keyword in draft.VALIDATORS.items()})


def _counted(keyword: Keyword) -> Keyword:
    def test(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        work = _WORK.get()
        work.enter()
        try:
            yield from keyword(validator, value, instance, schema) or ()
        finally:
            work.within -= 1

    return test


def _pattern(validator: Any, value: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not pattern_test(value)(instance):
        yield ValidationError(f"{instance!r} does not match {value!r}")


def _pattern_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, subschema in value.items():
            matches = pattern_test(pattern)
            for name in filter(matches, instance):
                yield from validator.descend(instance[name], subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    tests = [pattern_test(pattern) for pattern in schema.get("patternProperties", ())]
    known = schema.get("properties", {})
    for name in instance:
        if name in known or any(matches(name) for matches in tests):
            continue
        if validator.is_type(value, "object"):
            yield from validator.descend(instance[name], value, path=name)
        elif not value:
            yield ValidationError(f"there may be no {name!r}")


def _unique_items(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """By one text for each item: the library compares each item with each other."""
    if value and validator.is_type(instance, "array") and len(set(map(canonical, instance))) < len(instance):
        yield ValidationError(f"{instance!r:.80} has items that are the same")


def _multiple_of(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Of the numbers as they are written: 19.99 is a multiple of 0.01, which a division of floats denies."""
    if validator.is_type(instance, "number") and Fraction(str(instance)) % Fraction(str(value)):
        yield ValidationError(f"{instance!r} is not a multiple of {value!r}")


_OWN: Mapping[str, Keyword] = {
    "multipleOf": _multiple_of,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}


def _said(error: ValidationError | SchemaError) -> str:
    message = error.message if len(error.message) <= _SHOWN else error.message[:_SHOWN] + "..."
    return f"{error.json_path}: {message}"
