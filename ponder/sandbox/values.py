"""Plain values as JSON: the only thing a program can hand to those who judge it.

Built-in types keep their type, subclasses become the built-in type they extend, and anything else becomes a handle: a
number by which the tests can refer to the program's object. Reading never runs code of the sender, and is the one place
where its size is measured: bytes by the channel, here depth, number of values, digits, equal hashes and time. Whatever
is wrong with the text is a NotPlainError.
"""

import datetime
import json
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

__all__ = ["Handle", "NotPlainError", "dumps", "loads", "short"]

_INLINE_INTEGER = 1 << 63
_MAX_DEPTH, _FRAME_DEPTH = 200, 5
"""Of a value, and of the lists and dicts that a message puts around its values."""
_MAX_VALUES = 2_000_000
"""Values in one text: some 200 MiB of objects."""
_MAX_HEX_DIGITS, _MAX_DIGITS = 1_000_000, 4_300
"""Digits of an integer, and of a decimal or of a part of a fraction, whose cost grows with the square of them."""
_MAX_DECIMAL_EXPONENT = 10_000
_MAX_HANDLE = 1 << 31
_MAX_CLASSES = 100
_MAX_RANGE = 1_000_000
_MAX_EQUAL_HASHES = 64
"""Different values with one hash: a set or dict of n of them takes n * n steps, and so they are made on purpose."""
_LEAST_COLLIDING = (1 << 61) - 1
"""Integers below have hashes of their own."""
_SHORT_CHARS = 300


class NotPlainError(ValueError):
    """The text is not an encoded value, or one too large to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """An object that stays with the program, as the program describes it. `classes` are the numbers of its class and
    of that class's bases, `name` is the class's name; what can be called counts as a function, and so do generators."""

    number: int
    name: str
    classes: tuple[int, ...]
    form: Literal["object", "class", "function"]


def short(text: str) -> str:
    """What the other side said, fit for a reason: at most 300 characters, each of which can be printed and stored."""
    kept = text if len(text) <= _SHORT_CHARS else f"{text[: _SHORT_CHARS - 3]}..."
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in kept)


def dumps(value: object, keep: Callable[[object], Handle]) -> bytes:
    """`value` as JSON; `keep` makes a handle for what has no plain form."""
    return json.dumps(_encode(value, keep, _MAX_DEPTH)).encode()


def loads(payload: bytes, revive: Callable[[Handle], Any], *, deadline: float | None = None) -> Any:
    """The value; `revive` turns a handle into whatever stands for it. NotPlainError on anything malformed or too large,
    and when `deadline` (monotonic clock) passes before it is read."""
    reader = _Reader(revive, deadline)
    try:
        return reader.read(json.loads(payload), _MAX_DEPTH + _FRAME_DEPTH)
    except NotPlainError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise NotPlainError(short(f"malformed value: {type(error).__name__}: {error}")) from None


def _encode(value: Any, keep: Callable[[object], Handle], depth: int) -> Any:
    kind = type(value)
    if value is math.nan:
        return {"nan": []}  # lists that hold the one object are equal
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_INLINE_INTEGER < value < _INLINE_INTEGER else {"i": hex(value)}
    if depth == 0:
        return _handle(keep(value))
    if kind is list:
        return [_encode(item, keep, depth - 1) for item in value]
    for base, tag in _SEQUENCES.items():
        if isinstance(value, base):
            items = [_encode(item, keep, depth - 1) for item in value]
            return items if tag == "l" else {tag: items}
    if isinstance(value, dict):
        return {"d": [[_encode(k, keep, depth - 1), _encode(v, keep, depth - 1)] for k, v in value.items()]}
    if kind is bytes or kind is bytearray:
        return {"b" if kind is bytes else "a": value.hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is range:
        return {"r": [_encode(part, keep, depth - 1) for part in (value.start, value.stop, value.step)]}
    if kind is Decimal:
        return {"D": str(value)}
    if kind is Fraction:
        return {"F": [_encode(value.numerator, keep, depth - 1), _encode(value.denominator, keep, depth - 1)]}
    if kind is datetime.date or (kind in _CLOCKS and value.fold == 0 and type(value.tzinfo) in _FIXED_ZONES):
        return {_MOMENTS[kind]: value.isoformat()}
    if kind is datetime.timedelta:
        return {"delta": [value.days, value.seconds, value.microseconds]}
    for plain in (str, int, float):
        if isinstance(value, plain):
            return _encode(plain.__add__(value, plain()), keep, depth)  # type: ignore[operator]
    return _handle(keep(value))


_FORMS = ("object", "class", "function")
_LEAVES = frozenset({str, float, bool, type(None)})
_SEQUENCES: dict[type[Any], str] = {list: "l", tuple: "t", set: "s", frozenset: "f", deque: "q"}
_CLOCKS = (datetime.datetime, datetime.time)
_FIXED_ZONES = (type(None), datetime.timezone)
_MOMENTS: dict[type[Any], str] = {datetime.date: "date", datetime.time: "time", datetime.datetime: "datetime"}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "i": lambda text: int(_at_most(text, _MAX_HEX_DIGITS), 16),
    "b": bytes.fromhex,
    "a": bytearray.fromhex,
    "D": lambda text: _bounded(Decimal(_at_most(text, _MAX_DIGITS))),
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
}
_FROM_ITEMS: dict[str, Callable[[list[Any]], Any]] = {
    "t": tuple,
    "s": set,
    "f": frozenset,
    "q": deque,
    "c": lambda parts: complex(*map(float, parts)),
    "r": lambda parts: _countable(range(*parts)),
    "F": lambda parts: _fraction(*parts),
    "delta": lambda parts: datetime.timedelta(*parts),
}


def _at_most(text: str, digits: int) -> str:
    if len(text) > digits + len("-0x"):
        raise NotPlainError(f"a number of {len(text)} digits")
    return text


def _bounded(number: Decimal) -> Decimal:
    """A number that can be turned into an integer or a fraction without filling the memory."""
    if number.is_finite() and abs(number.adjusted()) > _MAX_DECIMAL_EXPONENT:
        raise NotPlainError(f"a decimal with the exponent {number.adjusted()}")
    return number


def _fraction(numerator: int, denominator: int) -> Fraction:
    if max(numerator.bit_length(), denominator.bit_length()) > 4 * _MAX_DIGITS:
        raise NotPlainError("a fraction of large numbers")
    return Fraction(numerator, denominator)


def _countable(numbers: range) -> range:
    """A range that can be listed without filling the memory."""
    if len(numbers) > _MAX_RANGE:
        raise NotPlainError(f"a range of {len(numbers)} numbers")
    return numbers


def _handle(handle: Handle) -> dict[str, Any]:
    return {"h": [handle.number, handle.name, list(handle.classes), handle.form]}


class _Reader:
    """Turns one parsed text into its value, and stops where that would take too much."""

    def __init__(self, revive: Callable[[Handle], Any], deadline: float | None) -> None:
        self._revive = revive
        self._deadline = deadline
        self._left = _MAX_VALUES
        self._equal: dict[int, list[Any]] = {}  # hash -> the different values that have it, as they were written
        self._revived: dict[int, Any] = {}

    def read(self, form: Any, depth: int) -> Any:
        if depth == 0:
            raise NotPlainError("nested too deep")
        if isinstance(form, list):
            return self._items(form, depth)
        if not isinstance(form, dict):
            return self._noted(form, form) if type(form) is int and abs(form) >= _LEAST_COLLIDING else form
        ((tag, content),) = form.items()
        if tag in _FROM_TEXT:
            return self._noted(form, _FROM_TEXT[tag](_checked(content, str)))
        items = _checked(content, list)
        if tag == "nan":
            return math.nan
        if tag in _FROM_ITEMS:
            return self._noted(form, _FROM_ITEMS[tag](self._items(items, depth)))
        if tag == "d":
            return dict(self._items(_checked(pair, list), depth) for pair in items)
        if tag == "h":
            return self._handle(*items)
        raise NotPlainError(f"unknown tag {tag!r}")

    def _items(self, forms: list[Any], depth: int) -> list[Any]:
        self._left -= len(forms) + 1
        if self._left < 0:
            raise NotPlainError(f"more than {_MAX_VALUES} values")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise NotPlainError("not read in time")
        return [form if type(form) in _LEAVES else self.read(form, depth - 1) for form in forms]

    def _noted(self, form: Any, value: Any) -> Any:
        """The value, if not too many others share its hash. They are compared as written: that asks nobody."""
        if type(value).__hash__ is None:
            return value
        try:
            known = self._equal.setdefault(hash(value), [])
        except TypeError:  # a tuple of lists
            return value
        if form not in known:
            known.append(form)
            if len(known) > _MAX_EQUAL_HASHES:
                raise NotPlainError(f"more than {_MAX_EQUAL_HASHES} values with one hash")
        return value

    def _handle(self, number: Any, name: Any, classes: Any, form: Any) -> Any:
        numbers = [number, *_checked(classes, list)]
        if not all(type(one) is int and 0 <= one < _MAX_HANDLE for one in numbers) or len(classes) > _MAX_CLASSES:
            raise NotPlainError("malformed handle")
        if form not in _FORMS or type(name) is not str:
            raise NotPlainError("malformed handle")
        if number not in self._revived:  # one object each, which is equal to itself without being asked
            handle = Handle(number=number, name=name[:100], classes=tuple(classes), form=form)
            self._revived[number] = self._revive(handle)
        return self._revived[number]


def _checked(content: Any, kind: type[Any]) -> Any:
    if type(content) is not kind:
        raise NotPlainError(f"a {type(content).__name__} where a {kind.__name__} belongs")
    return content
