"""The parts of pytest that tests of evaluation sets use."""

import contextlib
import inspect
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ponder.sandbox.errors import NotJudgeableError, SkippedError

__all__ = ["PYTEST", "Mark", "Parameter", "listed"]


class _Raises:
    """`pytest.raises` as a context; afterwards `value` and `type` are of what was raised."""

    def __init__(self, expected: Any, match: str | None) -> None:
        self._expected, self._match = expected, match
        self.value: Any = None
        self.type: Any = None

    def __enter__(self) -> "_Raises":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if error is None:
            raise AssertionError(f"did not raise {self._expected}")
        if not isinstance(error, self._expected):
            return False
        self.value, self.type = error, kind
        if self._match is not None:
            self.match(self._match)
        return True

    def match(self, pattern: str) -> bool:
        if re.search(pattern, str(self.value)) is None:
            raise AssertionError(f"{str(self.value)!r} does not match {pattern!r}")
        return True


def _raises(expected: Any, *call: Any, match: str | None = None, **named: Any) -> _Raises:
    context = _Raises(expected, match)
    if call:
        with context:
            call[0](*call[1:], **named)
    return context


class _Approx:
    """`pytest.approx` of a number, or of a list, tuple or dict of numbers. Only plain numbers can be near."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> None:
        self._expected, self._nan_ok = expected, nan_ok
        self._relative = rel if rel is not None else (0.0 if abs is not None else 1e-6)
        self._absolute = abs if abs is not None else 1e-12

    def __eq__(self, actual: object) -> bool:
        return self._near(actual, self._expected)

    def _near(self, actual: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            keys = isinstance(actual, dict) and actual.keys() == expected.keys()
            return keys and all(self._near(actual[key], expected[key]) for key in expected)
        if isinstance(expected, list | tuple):
            same = type(actual) is type(expected) and len(actual) == len(expected)
            return same and all(map(self._near, actual, expected))
        if not isinstance(actual, int | float | complex) or not isinstance(expected, int | float | complex):
            return type(actual) is type(expected) and bool(actual == expected)
        if isinstance(expected, float) and math.isnan(expected):
            return self._nan_ok and actual != actual
        if actual == expected or math.isinf(abs(expected)):
            return actual == expected
        return abs(actual - expected) <= max(self._relative * abs(expected), self._absolute)


def _skip(reason: str = "", **_: Any) -> None:
    raise SkippedError(reason)


def _fail(reason: str = "", **_: Any) -> None:
    raise AssertionError(reason)


def _import_or_skip(name: str, *_: Any, **__: Any) -> Any:
    try:
        return __import__(name)
    except ImportError as error:
        raise NotJudgeableError(str(error)) from None


@contextlib.contextmanager
def _warns(expected: Any = Warning, match: str | None = None) -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    if not any(issubclass(w.category, expected) and re.search(match or "", str(w.message)) for w in caught):
        raise AssertionError(f"did not warn {expected} {match or ''}".rstrip())


class Parameter:
    """`pytest.param`: one set of arguments, with marks of its own."""

    def __init__(self, *values: Any, id: str | None = None, marks: Any = ()) -> None:
        self.values = values
        self.marks: list[Mark] = listed(marks)


class Mark:
    """One of `pytest.mark`, as a decorator or kept by itself: parametrize, usefixtures, skip, skipif and xfail mean
    something, all others nothing."""

    def __init__(self, name: str, arguments: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None) -> None:
        self.name, self.arguments, self.named = name, arguments, dict(named or {})

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if len(arguments) == 1 and not named and (inspect.isfunction(arguments[0]) or isinstance(arguments[0], type)):
            target: Any = arguments[0]
            target._marks = [*vars(target).get("_marks", ()), self]
            return target
        return Mark(self.name, arguments, named)

    def skips(self) -> bool:
        """Whether it says that a test is to be left out."""
        condition = self.named.get("condition", self.arguments[0] if self.arguments else False)
        return self.name == "skip" or (self.name == "skipif" and bool(condition))


class _Marks:
    """`pytest.mark`."""

    def __getattr__(self, name: str) -> Mark:
        return Mark(name)


def listed(marks: Any) -> list[Mark]:
    """Marks, however they were given: one, or a list."""
    return [marks] if isinstance(marks, Mark) else list(marks)


def _fixture(*arguments: Any, **named: Any) -> Any:
    def note(function: Any) -> Any:
        function._fixture = named
        return function

    return note(arguments[0]) if arguments and callable(arguments[0]) else note


PYTEST: dict[str, Any] = {
    "raises": _raises, "approx": _Approx, "mark": _Marks(), "fixture": _fixture, "param": Parameter, "skip": _skip,
    "fail": _fail, "importorskip": _import_or_skip, "warns": _warns, "main": lambda *_, **__: 0,
}  # fmt: skip
