"""What test files import that is no part of the standard library: the parts of pytest and numpy that tests of
evaluation sets use. Anything else of them cannot be judged, and says so.
"""

import contextlib
import inspect
import itertools
import math
import types
import unittest
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ponder.sandbox.remote import NotJudgeableError

__all__ = ["STAND_INS", "SkippedError", "collect"]


class SkippedError(Exception):
    """A pytest-style test skips itself."""


class _Module(types.ModuleType):
    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotJudgeableError(f"they use {self.__name__}.{name}, and {self.__name__} is not there")


# pytest


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
        import re

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
    if not any(issubclass(one.category, expected) for one in caught):
        raise AssertionError(f"did not warn {expected}")


class _Parameter:
    def __init__(self, *values: Any, id: str | None = None, marks: object = ()) -> None:
        self.values = values


class _Marks:
    """`pytest.mark`: parametrize, skip, skipif and xfail mean something, all others nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def mark(*arguments: Any, **named: Any) -> Any:
            if len(arguments) == 1 and not named and inspect.isfunction(arguments[0]) and name != "parametrize":
                return _noted(arguments[0], name, ((), {}))
            return lambda function: _noted(function, name, (arguments, named))

        return mark


def _noted(function: Any, name: str, what: Any) -> Any:
    function._marks = [*vars(function).get("_marks", ()), (name, what)]
    return function


def _fixture(*arguments: Any, **named: Any) -> Any:
    def note(function: Any) -> Any:
        function._fixture = named
        return function

    return note(arguments[0]) if arguments and callable(arguments[0]) else note


# Collecting what pytest would collect


def collect(space: Mapping[str, Any], done: set[str], candidate: Any) -> list[unittest.TestCase]:
    """The test functions and plain test classes of a test file, one case for each set of parameters; functions in
    `done` ran already. `candidate` is what a parameter of that name stands for."""
    fixtures = {
        vars(value)["_fixture"].get("name") or name: value
        for name, value in space.items()
        if isinstance(value, types.FunctionType) and "_fixture" in vars(value)
    }
    setup = _Setup(space, fixtures, candidate)
    cases: list[unittest.TestCase] = []
    for name, value in space.items():
        if isinstance(value, types.FunctionType) and name.startswith("test") and name not in done:
            if "_fixture" not in vars(value):
                cases += _cases(name, value, setup, None)
        elif name.startswith("Test") and _is_plain_test_class(value):
            for method, function in inspect.getmembers(value, inspect.isfunction):
                if method.startswith("test"):
                    cases += _cases(f"{name}.{method}", function, setup, value)
    return cases


def _is_plain_test_class(value: Any) -> bool:
    own = isinstance(value, type) and value.__module__ == "__main__" and not issubclass(value, unittest.TestCase)
    return own and "__init__" not in vars(value)


def _cases(name: str, function: Any, setup: "_Setup", owner: type | None) -> Iterator[unittest.TestCase]:
    marks = [*(vars(owner).get("_marks", ()) if owner else ()), *vars(function).get("_marks", ())]
    sets: list[list[dict[str, Any]]] = []
    for mark, (arguments, named) in marks:
        if mark == "skip" or (mark == "skipif" and bool(named.get("condition", arguments[0] if arguments else False))):
            return
        if mark == "xfail":
            raise NotJudgeableError("they expect a failure (xfail)")
        if mark == "parametrize":
            sets.append(list(_sets(*arguments, **named)))
    for wanted in inspect.signature(function).parameters:
        values = setup.parameters(wanted)
        if values is not None:
            sets.append([{f"parameter of {wanted}": value} for value in values])
    for place, chosen in enumerate(itertools.product(*sets)):
        given = {key: value for one in chosen for key, value in one.items()}
        yield _Function(f"{name}[{place}]" if sets else name, function, given, setup, owner)


def _sets(argnames: Any, argvalues: Any, **_: Any) -> Iterator[dict[str, Any]]:
    names = [n.strip() for n in argnames.split(",") if n.strip()] if isinstance(argnames, str) else list(argnames)
    for values in argvalues:
        row: Sequence[Any] = values.values if isinstance(values, _Parameter) else (values,)
        row = row[0] if len(names) > 1 and len(row) == 1 else row
        yield dict(zip(names, row, strict=True))


class _Setup:
    """Fixtures of a test file, and the few that pytest brings."""

    def __init__(self, space: Mapping[str, Any], fixtures: Mapping[str, Any], candidate: Any) -> None:
        self.space = space
        self._fixtures = fixtures
        self._candidate = candidate

    def autouse(self, owner: Any) -> list[str]:
        """Fixtures that every test has, those of its class included."""
        methods = {} if owner is None else dict(inspect.getmembers(type(owner), inspect.isfunction))
        known = {name: method for name, method in methods.items() if "_fixture" in vars(method)} | dict(self._fixtures)
        return [name for name, function in known.items() if vars(function)["_fixture"].get("autouse")]

    def parameters(self, name: str) -> list[Any] | None:
        """The parameters of a fixture that has some."""
        function = self._fixtures.get(name)
        return None if function is None else vars(function)["_fixture"].get("params")

    def value(self, name: str, stack: contextlib.ExitStack, known: dict[str, Any], owner: Any) -> Any:
        """The value of a fixture, made once for each test; what it does after its `yield` is put on the stack."""
        if name in known:
            return known[name]
        function = self._fixtures.get(name)
        if function is None and owner is not None:
            method = inspect.getattr_static(type(owner), name, None)
            function = method.__get__(owner) if method is not None and "_fixture" in vars(method) else None
        if function is not None:
            wanted = [n for n in inspect.signature(function).parameters if n != "request"]
            given = {n: self.value(n, stack, known, owner) for n in wanted}
            if "request" in inspect.signature(function).parameters:
                given["request"] = types.SimpleNamespace(param=known.get(f"parameter of {name}"))
            made = function(**given)
            known[name] = _begun(made, stack)
        elif name in _FIXTURES:
            known[name] = stack.enter_context(_FIXTURES[name]())
        elif name == "candidate" and self._candidate is not None:
            known[name] = self._candidate
        else:
            raise NotJudgeableError(f"they want the fixture {name!r}, which is not there")
        return known[name]


def _begun(made: Any, stack: contextlib.ExitStack) -> Any:
    if not isinstance(made, types.GeneratorType):
        return made
    value = next(made)
    stack.callback(lambda: next(made, None))
    return value


class _Captured(NamedTuple):
    out: str
    err: str


class _Fixture(types.SimpleNamespace):
    """What pytest brings; what is not there of it says nothing about the program."""

    def __init__(self, fixture: str, **members: Any) -> None:
        super().__init__(**members)
        self._fixture = fixture

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotJudgeableError(f"they use {self._fixture}.{name}, which is not there")


@contextlib.contextmanager
def _captured() -> Iterator[Any]:
    import io

    out, errors = io.StringIO(), io.StringIO()

    def read() -> _Captured:
        said = _Captured(out.getvalue(), errors.getvalue())
        for stream in (out, errors):
            stream.seek(0)
            stream.truncate()
        return said

    @contextlib.contextmanager
    def disabled() -> Iterator[None]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield

    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        yield _Fixture("capsys", readouterr=read, disabled=disabled)


@contextlib.contextmanager
def _folder() -> Iterator[Any]:
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        yield pathlib.Path(name)


@contextlib.contextmanager
def _monkeypatch() -> Iterator[Any]:
    import os
    import sys
    from unittest import mock

    with contextlib.ExitStack() as stack:

        def put_item(target: Any, name: Any, value: Any) -> None:
            stack.enter_context(mock.patch.dict(target, {name: value}))

        def delete_item(target: Any, name: Any, raising: bool = True) -> None:
            stack.enter_context(mock.patch.dict(target))
            target.pop(name) if raising else target.pop(name, None)

        def put_variable(name: str, value: Any, prepend: str | None = None) -> None:
            known = os.environ.get(name)
            put_item(os.environ, name, str(value) if prepend is None or known is None else f"{value}{prepend}{known}")

        def put(target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
            if isinstance(target, str):
                stack.enter_context(mock.patch(target, name, create=not raising))
            else:
                stack.enter_context(mock.patch.object(target, name, value, create=not raising))

        def delete(target: Any, name: str, raising: bool = True) -> None:
            if raising or name in vars(target):
                patch = mock.patch.object(target, name)
                stack.enter_context(patch)
                delattr(target, name)

        def move(folder: Any) -> None:
            stack.callback(os.chdir, os.getcwd())
            os.chdir(folder)

        def put_path(path: Any) -> None:
            stack.enter_context(mock.patch.object(sys, "path", [str(path), *sys.path]))

        yield _Fixture(
            "monkeypatch",
            setattr=put,
            delattr=delete,
            setitem=put_item,
            delitem=delete_item,
            setenv=put_variable,
            delenv=lambda name, raising=True: delete_item(os.environ, name, raising),
            chdir=move,
            syspath_prepend=put_path,
            undo=stack.close,
            context=_monkeypatch,
        )


@contextlib.contextmanager
def _folders() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def make(name: str, numbered: bool = True) -> Any:
            folder = stack.enter_context(_folder()) / name
            folder.mkdir()
            return folder

        yield _Fixture("tmp_path_factory", mktemp=make)


_FIXTURES: Mapping[str, Callable[[], Any]] = {
    "capsys": _captured,
    "capfd": _captured,
    "tmp_path": _folder,
    "tmp_path_factory": _folders,
    "monkeypatch": _monkeypatch,
}


class _Function(unittest.TestCase):
    """A pytest-style test as unittest runs one."""

    def __init__(self, name: str, function: Any, given: dict[str, Any], setup: _Setup, owner: type | None) -> None:
        super().__init__("run_function")
        self._name, self._function, self._given, self._setup, self._owner = name, function, given, setup, owner

    def id(self) -> str:
        return f"tests.{self._name}"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def run_function(self) -> None:
        thing = None if self._owner is None else self._owner()
        with contextlib.ExitStack() as stack:
            for before, after, arguments in self._around(thing):
                if after is not None:
                    stack.callback(after, *arguments[: len(inspect.signature(after).parameters)])
                if before is not None:
                    before(*arguments[: len(inspect.signature(before).parameters)])
            known = dict(self._given)
            for name in self._setup.autouse(thing):
                self._setup.value(name, stack, known, thing)
            function = self._function if thing is None else self._function.__get__(thing)
            mocked = sum(map(_is_argument, vars(self._function).get("patchings", ())))
            wanted = [
                parameter.name
                for parameter in list(inspect.signature(function).parameters.values())[mocked:]
                if parameter.default is parameter.empty or parameter.name in known
            ]
            try:
                result = function(**{name: self._setup.value(name, stack, known, thing) for name in wanted})
                if isinstance(result, types.CoroutineType):
                    import asyncio

                    asyncio.run(result)
            except SkippedError as error:
                raise unittest.SkipTest(str(error)) from None

    def _around(self, thing: Any) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
        if thing is None:
            yield self._setup.space.get("setup_function"), self._setup.space.get("teardown_function"), (None,)
            return
        methods = dict(inspect.getmembers(thing, callable))
        for name, argument in (("class", type(thing)), ("method", self._function)):
            yield methods.get(f"setup_{name}"), methods.get(f"teardown_{name}"), (argument,)


def _is_argument(patch: Any) -> bool:
    """Whether a `patch` above a function gives it a mock."""
    from unittest import mock

    return patch.new is mock.DEFAULT and patch.attribute_name is None


# numpy


class _Array:
    """`numpy.ndarray`, which no plain value is."""

    dtype = None


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def _shape(value: Any) -> Any:
    return [_shape(item) for item in value] if isinstance(value, list | tuple) else None


def _check_number(value: Any) -> None:
    if not isinstance(value, int | float | complex):
        raise TypeError(f"ufunc 'isfinite' not supported for {type(value).__name__}")


def _close(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """`numpy.isclose` of two plain numbers; anything else is a TypeError, as it is there."""
    _check_number(a)
    _check_number(b)
    if a != a or b != b:
        return equal_nan and a != a and b != b
    if a == b:
        return True
    size = abs(a - b)
    return math.isfinite(size) and size <= atol + rtol * abs(b)


def _depth(value: Any) -> int:
    if not isinstance(value, list | tuple):
        return 0
    return 1 + (_depth(value[0]) if value else 0)


def _pairs(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    """The numbers that numpy would compare: a smaller shape is stretched over a larger one."""
    if _depth(a) != _depth(b):
        larger, swapped = (a, False) if _depth(a) > _depth(b) else (b, True)
        for item in larger:
            yield from _pairs(a, item) if swapped else _pairs(item, b)
        return
    if _depth(a) == 0:
        yield a, b
        return
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        raise ValueError("operands could not be broadcast together")
    length = len(b) if len(a) == 1 else len(a)
    for place in range(length):
        yield from _pairs(a[0 if len(a) == 1 else place], b[0 if len(b) == 1 else place])


def _all_close(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    for value in (*_flat(a), *_flat(b)):
        _check_number(value)
    return all(_close(x, y, rtol, atol, equal_nan) for x, y in list(_pairs(a, b)))


def _assert_all_close(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **_: Any) -> None:
    if not _all_close(actual, desired, rtol, atol, equal_nan=True):
        raise AssertionError(f"not equal to tolerance rtol={rtol}, atol={atol}")


def _assert_equal(actual: Any, desired: Any, *_: Any, **__: Any) -> None:
    if _shape(actual) != _shape(desired) or list(_flat(actual)) != list(_flat(desired)):
        raise AssertionError("arrays are not equal")


_TESTING = _Module(
    "numpy.testing",
    {
        "assert_allclose": _assert_all_close,
        "assert_almost_equal": lambda a, b, decimal=7: _assert_all_close(a, b, 0, 1.5 * 10**-decimal),
        "assert_array_equal": _assert_equal,
        "assert_equal": _assert_equal,
    },
)
_NUMPY = _Module("numpy", {
    "allclose": _all_close, "isclose": _close, "ndarray": _Array, "float64": type("float64", (), {}),
    "float32": type("float32", (), {}), "nan": math.nan, "inf": math.inf, "pi": math.pi, "e": math.e,
    "isnan": math.isnan, "isinf": math.isinf, "abs": abs, "sqrt": math.sqrt, "testing": _TESTING,
    "array_equal": lambda a, b: _shape(a) == _shape(b) and list(_flat(a)) == list(_flat(b)),
})  # fmt: skip
_PYTEST = _Module("pytest", {
    "raises": _raises, "approx": _Approx, "mark": _Marks(), "fixture": _fixture, "param": _Parameter, "skip": _skip,
    "fail": _fail, "importorskip": _import_or_skip, "warns": _warns, "main": lambda *_, **__: 0,
})  # fmt: skip

STAND_INS: Mapping[str, types.ModuleType] = {"pytest": _PYTEST, "numpy": _NUMPY, "numpy.testing": _TESTING}
"""Modules as `import` finds them, in the tests' process."""
