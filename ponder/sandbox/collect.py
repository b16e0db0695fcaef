"""What pytest would collect from a test file, as cases that unittest runs."""

import contextlib
import inspect
import itertools
import types
import unittest
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ponder.sandbox.errors import NotJudgeableError, SkippedError
from ponder.sandbox.fixtures import Fixtures
from ponder.sandbox.pytest_stand_in import Mark, Parameter, listed

__all__ = ["collect"]


def collect(space: Mapping[str, Any], done: set[str], candidate: Any) -> list[unittest.TestCase]:
    """The test functions and plain test classes of a test file, one case for each set of parameters; functions in
    `done` ran already. `candidate` is what a parameter of that name stands for."""
    fixtures = {
        vars(value)["_fixture"].get("name") or name: value
        for name, value in space.items()
        if isinstance(value, types.FunctionType) and "_fixture" in vars(value)
    }
    setup = Fixtures(space, fixtures, candidate)
    marks = listed(space.get("pytestmark", ()))
    cases: list[unittest.TestCase] = []
    for name, value in space.items():
        if isinstance(value, types.FunctionType) and name.startswith("test") and name not in done:
            if "_fixture" not in vars(value) and vars(value).get("__test__", True):
                cases += _cases(name, value, setup, None, marks)
        elif name.startswith("Test") and _is_plain_test_class(value):
            cases += _of_class(name, value, setup, marks)
    return cases


def _is_plain_test_class(value: Any) -> bool:
    own = isinstance(value, type) and value.__module__ == "__main__" and not issubclass(value, unittest.TestCase)
    return own and "__init__" not in vars(value) and vars(value).get("__test__", True)


def _of_class(name: str, owner: type, setup: Fixtures, marks: list[Mark]) -> Iterator[unittest.TestCase]:
    """The tests of a plain class, and of the classes in it."""
    for base in reversed(owner.__mro__):
        marks = [*marks, *listed(vars(base).get("pytestmark", ())), *vars(base).get("_marks", ())]
    for member, value in inspect.getmembers(owner):
        if member.startswith("test") and (inspect.isfunction(value) or inspect.ismethod(value)):
            function = value.__func__ if inspect.ismethod(value) else value
            yield from _cases(f"{name}.{member}", function, setup, owner, marks)
        elif member.startswith("Test") and _is_plain_test_class(value):
            yield from _of_class(f"{name}.{member}", value, setup, marks)


def _cases(
    name: str, function: Any, setup: Fixtures, owner: type | None, marks: list[Mark]
) -> Iterator[unittest.TestCase]:
    marks = [*marks, *vars(function).get("_marks", ())]
    sets: list[list[dict[str, Any]]] = []
    used: list[str] = []
    if _is_left_out(marks):
        return
    for mark in marks:
        if mark.name == "parametrize":
            sets.append(list(_sets(*mark.arguments, **mark.named)))
        elif mark.name == "usefixtures":
            used += mark.arguments
    for wanted in inspect.signature(function).parameters:
        values = setup.parameters(wanted)
        if values is not None:
            sets.append([{f"parameter of {wanted}": value} for value in values])
    for place, chosen in enumerate(itertools.product(*sets)):
        given = {key: value for one in chosen for key, value in one.items()}
        yield _Function(f"{name}[{place}]" if sets else name, function, given, setup, owner, used)


def _is_left_out(marks: list[Mark]) -> bool:
    if any(mark.skips() for mark in marks):
        return True
    if any(mark.name == "xfail" for mark in marks):
        raise NotJudgeableError("they expect a failure (xfail)")
    if any(mark.name == "filterwarnings" and str(mark.arguments).startswith("('error") for mark in marks):
        raise NotJudgeableError("they make errors of the program's warnings (filterwarnings)")
    return False


def _sets(argnames: Any, argvalues: Any, **_: Any) -> Iterator[dict[str, Any]]:
    names = [n.strip() for n in argnames.split(",") if n.strip()] if isinstance(argnames, str) else list(argnames)
    for values in argvalues:
        if isinstance(values, Parameter) and _is_left_out(values.marks):
            continue
        row: Sequence[Any] = values.values if isinstance(values, Parameter) else (values,)
        row = row[0] if len(names) > 1 and len(row) == 1 else row
        yield dict(zip(names, row, strict=True))


class _Function(unittest.TestCase):
    """A pytest-style test as unittest runs one."""

    def __init__(
        self,
        name: str,
        function: Any,
        given: dict[str, Any],
        setup: Fixtures,
        owner: type | None,
        used: list[str],
    ) -> None:
        super().__init__("run_function")
        self._name, self._function, self._given, self._setup = name, function, given, setup
        self._owner, self._used = owner, used

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
            for name in (*self._setup.autouse(thing), *self._used):
                self._setup.value(name, stack, known, thing)
            function = self._bound(thing)
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

    def _bound(self, thing: Any) -> Any:
        """The function as it is called: bound to its object, to its class, or to nothing."""
        if self._owner is None:
            return self._function
        match inspect.getattr_static(self._owner, self._function.__name__, None):
            case staticmethod():
                return self._function
            case classmethod():
                return self._function.__get__(self._owner)
        return self._function.__get__(thing)

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
