"""The tests' side of the program: stand-ins for its names and objects, and the one connection they speak through.

Rule: the program is never told what a test expects. A plain value compared with an object of the program is unequal
and unordered without asking; arithmetic between the two, membership and methods work only for objects of a class that
is itself under test. Everything that comes back is data.
"""

import builtins
import io
import json
import pickle
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ponder.sandbox import values
from ponder.sandbox.channel import Channel, ChannelClosedError
from ponder.sandbox.serve import BINARY_OPERATIONS, UNARY_OPERATIONS

__all__ = ["NotJudgeableError", "ProgramGoneError", "Remote", "RemoteProgram"]

Plain = TypeVar("Plain")

_ITERATORS = (types.GeneratorType, map, filter, zip, enumerate, reversed)


class ProgramGoneError(BaseException):
    """The program ended or stopped keeping to the format. No test may catch it."""


class NotJudgeableError(BaseException):
    """The tests do something that cannot be done across processes. No test may catch it."""


class RemoteProgram:
    """The program behind `channel`. `names` are those it defines, `failure` is why it did not run to its end.

    `classes` are the names of the classes under test; where they are not known, any name that begins with a capital
    letter may be one. A function under test that turns out to be a class is none. `raised` is the program's latest
    exception.
    """

    def __init__(self, channel: Channel, classes: frozenset[str] | None = None) -> None:
        self._channel = channel
        self._classes = classes
        self.raised: BaseException | None = None
        self._functions: list[Callable[..., Any]] = []
        self._exceptions: dict[tuple[str, str], type[BaseException]] = {}
        self.familiar: set[int] = set()
        self.names: frozenset[str] = frozenset()
        self.failure = ""
        self._defined: dict[str, Any] = {}
        kind, content = self._receive()
        if kind == b"R":
            names, functions = self._read(content, 2)
            if not (isinstance(names, list) and all(type(name) is str for name in names) and type(functions) is dict):
                raise ProgramGoneError("malformed answer")
            self.names, self._defined = frozenset(names), functions
            return
        try:
            name, _, text, _ = json.loads(content)
            self.failure = f"{name}: {text}"[:300]
        except (ValueError, TypeError) as error:
            raise ProgramGoneError(f"malformed answer: {error}") from None

    def look(self, name: str) -> Any:
        """What the program calls `name`; a class under test becomes familiar."""
        value = self._defined[name] if name in self._defined else self.ask("look", name)
        under_test = name[:1].isupper() if self._classes is None else name in self._classes
        return self.familiarise(value) if under_test else value

    def familiarise(self, value: Any) -> Any:
        """Note a class under test."""
        if isinstance(value, Remote) and value._handle.form == "class":
            self.familiar.add(value._handle.number)
        return value

    def ask(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """Have the program do something; returns its value or raises its exception, and updates changed arguments."""
        buffer = io.BytesIO()
        _Writer(self, buffer).dump((verb, arguments, named))
        self._send(b"Q", buffer.getvalue())
        while True:
            kind, content = self._receive()
            if kind == b"C":
                self._call(content)
            elif kind == b"V":
                value, changed = self._read(content, 2)
                for place, after in changed.items() if isinstance(changed, dict) else ():
                    _update(arguments[place], after)
                return value
            elif kind == b"X":
                return self._exception_class(json.loads(content))
            else:
                self.raised = self._exception(json.loads(content))
                raise self.raised

    def register(self, function: Callable[..., Any]) -> int:
        """A number by which the program can have `function` called."""
        self._functions.append(function)
        return len(self._functions) - 1

    def _call(self, content: bytes) -> None:
        number, arguments, named = self._read(content, 3)
        try:
            result = self._functions[number](*arguments, **named)
        except Exception as error:  # raised by a function of the tests, on behalf of the program
            self._send(b"F", f"{type(error).__name__}: {error}".encode(errors="replace"))
            return
        buffer = io.BytesIO()
        _Writer(self, buffer).dump(result)
        self._send(b"A", buffer.getvalue())

    def _read(self, content: bytes, parts: int) -> Any:
        try:
            value = values.loads(content, lambda handle: Remote(self, handle))
        except values.NotPlainError as error:
            raise ProgramGoneError(str(error)) from None
        if not (isinstance(value, list) and len(value) == parts):
            raise ProgramGoneError("malformed answer")
        return value

    def _exception_class(self, lineage: Any) -> type[BaseException]:
        name, ancestor = str(lineage[0]), str(lineage[1])
        base = getattr(builtins, ancestor, Exception)
        if not (isinstance(base, type) and issubclass(base, Exception | SystemExit)):
            base = Exception
        if name == ancestor:
            return base
        return self._exceptions.setdefault((name, ancestor), type(name, (base,), {}))

    def _exception(self, described: Any) -> BaseException:
        kind = self._exception_class(described)
        argument = described[2] if described[3] is None else described[3]
        try:
            return kind(argument)
        except TypeError:  # UnicodeDecodeError and its kin want more arguments
            return RuntimeError(f"{kind.__name__}: {argument}")

    def _send(self, kind: bytes, content: bytes) -> None:
        try:
            self._channel.send(kind, content)
        except ChannelClosedError as error:
            raise ProgramGoneError(str(error)) from None

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            return self._channel.receive()
        except ChannelClosedError as error:
            raise ProgramGoneError(str(error)) from None


class Remote:
    """Stands for one object of the program."""

    __slots__ = ("_handle", "_program")

    def __init__(self, program: RemoteProgram, handle: values.Handle) -> None:
        self._program = program
        self._handle = handle

    def _familiar(self) -> bool:
        return self._handle.number in self._program.familiar or not self._program.familiar.isdisjoint(
            self._handle.classes
        )

    def _demand_familiar(self, what: str) -> None:
        if not self._familiar():
            raise TypeError(f"{what} of a {self._handle.name} object, whose class is not under test")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self._handle.form == "object":
            self._demand_familiar("a call")
        return self._program.ask("call", self, *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        value = self._program.ask("getattr", self, name)
        if self._handle.form == "class" or self._familiar():
            return self._program.familiarise(value)
        if isinstance(value, Remote):
            self._demand_familiar(f"attribute {name!r}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Remote.__slots__:
            object.__setattr__(self, name, value)
        else:
            self._program.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._program.ask("delattr", self, name)

    def __eq__(self, other: object) -> Any:
        return self._compare("eq", other) if self._comparable(other) else self is other

    def __ne__(self, other: object) -> Any:
        return self._compare("ne", other) if self._comparable(other) else self is not other

    def __hash__(self) -> int:
        return self._handle.number

    def _comparable(self, other: object) -> bool:
        return isinstance(other, Remote) and (other._handle.number == self._handle.number or self._familiar())

    def _compare(self, verb: str, other: object) -> bool:
        return self._program.ask(verb, self, other) is True

    def _order(self, verb: str, other: object) -> Any:
        return self._compare(verb, other) if self._comparable(other) else NotImplemented

    def __lt__(self, other: object) -> Any:
        return self._order("lt", other)

    def __le__(self, other: object) -> Any:
        return self._order("le", other)

    def __gt__(self, other: object) -> Any:
        return self._order("gt", other)

    def __ge__(self, other: object) -> Any:
        return self._order("ge", other)

    def __contains__(self, item: Any) -> bool:
        self._demand_familiar("membership")
        return self._program.ask("contains", self, item) is True

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Remote) and self._handle.number in instance._handle.classes

    def __iter__(self) -> Iterator[Any]:
        iterator = self._program.ask("iter", self)
        return iterator if isinstance(iterator, Remote) else iter(iterator)

    def __len__(self) -> int:
        return self._plain("len", int)

    def __bool__(self) -> bool:
        return self._plain("bool", bool)

    def __int__(self) -> int:
        return self._plain("int", int)

    def __index__(self) -> int:
        return self._plain("index", int)

    def __float__(self) -> float:
        return self._plain("float", float)

    def __str__(self) -> str:
        return self._plain("str", str)

    def __repr__(self) -> str:
        return self._plain("repr", str)

    def _plain(self, verb: str, kind: type[Plain]) -> Plain:
        value = self._program.ask(verb, self)
        if type(value) is not kind:
            raise TypeError(f"{verb} gave no {kind.__name__}")
        plain: Plain = value
        return plain

    def __next__(self) -> Any:
        return self._program.ask("next", self)

    def __getitem__(self, key: Any) -> Any:
        return self._program.ask("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._program.ask("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._program.ask("delitem", self, key)

    def __enter__(self) -> Any:
        return self._program.ask("enter", self)

    def __exit__(self, *_: object) -> None:
        self._program.ask("leave", self)


def _binary(verb: str) -> tuple[Callable[[Remote, Any], Any], Callable[[Remote, Any], Any]]:
    def forward(self: Remote, other: Any) -> Any:
        self._demand_familiar(f"operator {verb!r}")
        return self._program.ask(verb, self, other)

    def reflected(self: Remote, other: Any) -> Any:
        self._demand_familiar(f"operator {verb!r}")
        return self._program.ask("reflected", verb, self, other)

    return forward, reflected


def _unary(verb: str) -> Callable[[Remote], Any]:
    def operation(self: Remote) -> Any:
        self._demand_familiar(f"operator {verb!r}")
        return self._program.ask(verb, self)

    return operation


for _verb in BINARY_OPERATIONS:
    _forward, _reflected = _binary(_verb)
    setattr(Remote, f"__{_verb.rstrip('_')}__", _forward)
    setattr(Remote, f"__r{_verb.rstrip('_')}__", _reflected)
for _verb in UNARY_OPERATIONS:
    setattr(Remote, f"__{_verb}__", _unary(_verb))


class _Writer(pickle.Pickler):
    """Writes a request. Only the program reads it."""

    def __init__(self, program: RemoteProgram, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._program = program

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        kind = type(value)
        if kind is Remote:
            return "kept", value._handle.number
        if kind is types.FunctionType or kind is types.MethodType:
            return "function", self._program.register(value)
        if getattr(kind, "__module__", "") == "tests":
            raise NotJudgeableError(f"the tests hand the program an object of their own class {kind.__name__!r}")
        return None

    def reducer_override(self, value: Any) -> Any:
        return (iter, (list(value),)) if isinstance(value, _ITERATORS) else NotImplemented


def _update(argument: Any, after: Any) -> None:
    """Give the tests' own object the content it has after the program changed it in place."""
    if type(argument) is not type(after):
        return
    match argument:
        case list() | bytearray():
            argument[:] = after
        case set() | dict():
            argument.clear()
            argument.update(after)
        case deque():
            argument.clear()
            argument.extend(after)
