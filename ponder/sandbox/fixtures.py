"""Fixtures of a test file, and the few that pytest brings."""

import contextlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ponder.sandbox.errors import NotJudgeableError

__all__ = ["Fixtures"]


class Fixtures:
    """The fixtures that the tests of one file can have."""

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
        method = None if owner is None else inspect.getattr_static(type(owner), name, None)
        if isinstance(method, types.FunctionType) and "_fixture" in vars(method):
            known[name] = self._made(name, method.__get__(owner), stack, known, owner)
        elif name in self._fixtures:
            known[name] = self._made(name, self._fixtures[name], stack, known, owner)
        elif name == "request":
            return self._request(name, stack, known, owner)
        elif name in _FIXTURES:
            known[name] = stack.enter_context(_FIXTURES[name]())
        elif name == "candidate" and self._candidate is not None:
            known[name] = self._candidate
        else:
            raise NotJudgeableError(f"they want the fixture {name!r}, which is not there")
        return known[name]

    def _made(self, name: str, function: Any, stack: contextlib.ExitStack, known: dict[str, Any], owner: Any) -> Any:
        given = {}
        for wanted in inspect.signature(function).parameters:
            if wanted == "request":
                given[wanted] = self._request(name, stack, known, owner)
            elif wanted == name:  # one of a class builds on the module's of that name
                given[wanted] = self.value(name, stack, known, None)
            else:
                given[wanted] = self.value(wanted, stack, known, owner)
        return _begun(function(**given), stack)

    def _request(self, name: str, stack: contextlib.ExitStack, known: dict[str, Any], owner: Any) -> Any:
        """What a fixture, or a test, asks about how it is used."""
        parameter = f"parameter of {name}"
        return _Fixture(
            "request",
            **({"param": known[parameter]} if parameter in known else {}),
            addfinalizer=stack.callback,
            getfixturevalue=lambda wanted: self.value(wanted, stack, known, owner),
            instance=owner,
            cls=None if owner is None else type(owner),
        )


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


@contextlib.contextmanager
def _warned() -> Iterator[Any]:
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        yield caught


_FIXTURES: Mapping[str, Callable[[], Any]] = {
    "capsys": _captured,
    "capfd": _captured,
    "recwarn": _warned,
    "tmp_path": _folder,
    "tmp_path_factory": _folders,
    "monkeypatch": _monkeypatch,
}
