"""The program as the tests' side has it: its names, and the one connection that both sides speak through.

Everything that comes back is data. `RemoteProgram.strange` says that something happened here that could differ from
what happens in one process, so that this verdict needs a second look; `unsure`, that it must not be believed.
"""

import io
import pickle
import types
from _thread import RLock
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ponder.sandbox import values
from ponder.sandbox.channel import Channel, ChannelClosedError, FrameTooLargeError
from ponder.sandbox.errors import (
    NotJudgeableError,
    NotPlainAnswerError,
    ProgramGoneError,
    ProgramRaisedError,
    TooLargeError,
)
from ponder.sandbox.inplace import items, update
from ponder.sandbox.instrument import CHECKING
from ponder.sandbox.packages import check_modules
from ponder.sandbox.program import Solution
from ponder.sandbox.proxy import MUTABLE, Remote, holds_any, same_data
from ponder.sandbox.raised import MAX_NAME, MAX_TEXT, ExceptionClasses

__all__ = ["RemoteProgram"]

_ITERATORS: tuple[type, ...] = (
    types.GeneratorType, map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())), type(iter("")),
    type(iter(range(0))), type(iter({})), type(iter(set())), type(reversed([])),
)  # fmt: skip
_BOUND = (types.BuiltinMethodType, types.MethodWrapperType)
"""Methods of built-in objects, such as `seen.append`."""


class RemoteProgram:
    """The program behind `channel`. `names` are those it defines, `failure` is why it did not run to its end.

    `classes` are the classes under test with the methods they have by the gold's own program; where they are not known,
    any name that begins with a capital letter may be one. `raised` is the program's latest exception, `used` how often
    it was asked for something. `world` answers what the program asks of its surroundings, by name. With `plain_only`
    every object but those with a name is refused.
    """

    def __init__(
        self,
        channel: Channel,
        classes: Mapping[str, frozenset[str]] | None = None,
        world: Mapping[str, Callable[..., Any]] = types.MappingProxyType({}),
        plain_only: bool = False,
    ) -> None:
        self._channel = channel
        self.classes = classes
        self._world = world
        self._plain_only = plain_only
        self._named = True
        self._lock = RLock()
        self.before: Callable[[], dict[str, Any]] = dict
        """What of the tests' world changed since the last request."""
        self.raised: BaseException | None = None
        self.used = 0
        self.strange = ""
        self.unsure = ""
        self.refused = ""
        """What the sandbox refused to the program, by its own word."""
        self.swallowed: list[BaseException] = []
        """Failed checks of the tests that the program kept from them."""
        self.calling_back = 0
        """How many functions of the tests run on what the program gave them."""
        self._broken_off: list[BaseException] = []
        self._functions: list[Callable[..., Any]] = []
        self.exceptions = ExceptionClasses(self._missing)
        self.known: dict[int, Remote] = {}
        self.familiar: dict[int, str] = {}
        """Classes under test: number and name."""
        self.made: set[int] = set()
        """Objects that the tests made themselves, by calling a class under test."""
        self.expected: set[str] = set()
        """What the tests call, as they would a class, for what they expect."""
        self._expected: dict[int, str] = {}
        self.emptied: dict[int, object] = {}
        """Arguments of the tests that the program left empty, by identity."""
        self.changed: dict[int, object] = {}
        """Those that it left with other items than before, in whatever order."""
        self._given: dict[int, tuple[Any, ...]] = {}
        """What the tests' own objects were made of."""
        self.names: frozenset[str] = frozenset()
        self.failure = ""
        self._defined: dict[str, Any] = {}
        kind, content = self._answer()
        if kind == b"R":
            names, functions = self._read(content, 2)
            if not (isinstance(names, list) and all(type(name) is str for name in names) and type(functions) is dict):
                raise ProgramGoneError("malformed answer")
            self.names, self._defined, self._named = frozenset(names), functions, False
        elif kind == b"E":
            self.failure = _shown(self._error(content))
        else:
            raise ProgramGoneError("malformed answer")

    def check_failure(self) -> None:
        """A program that failed for what is not here, before its tests began, says nothing."""
        check_modules(self.failure)
        if self.failure and self.refused:
            raise NotJudgeableError(f"the program failed: {self.refused}")

    def look(self, name: str) -> Any:
        """What the program calls `name`; a class under test becomes familiar."""
        self._named = True
        self.used += 1
        value = self._defined[name] if name in self._defined else self.ask("look", name)
        if isinstance(value, MUTABLE):
            self.strange = self.strange or f"{name!r} of the program was handed over as a copy"
        self._named = False
        under_test = name[:1].isupper() if self.classes is None else name in self.classes
        if name in self.expected and isinstance(value, Remote):
            self._expected[value._handle.number] = name
        if under_test and isinstance(value, Remote) and value._handle.form == "class":
            self.familiar[value._handle.number] = name
        return value

    def note_made(self, maker: Remote, value: Any, fresh: bool, given: tuple[Any, ...]) -> None:
        """What is expected must be made of what the tests say, not be the same whatever they say."""
        number = maker._handle.number
        own = isinstance(value, Remote) and fresh
        if isinstance(value, Remote) and own and number in self.familiar:
            self.made.add(value._handle.number)
        if number in self._expected and given:
            if isinstance(value, Remote) and own:
                self._given[value._handle.number] = given
            elif isinstance(value, Remote) or not holds_any(value, given):
                self.unsure = self.unsure or f"{self._expected[number]} does not hold what it was made of"

    def depends(self, thing: Remote, state: Any) -> bool:
        """Whether what an object of the tests holds depends on what it was made of."""
        given = self._given.get(thing._handle.number)
        if given is None or holds_any(state, given):
            return True
        others = (
            self.known[number]
            for number, other in self._given.items()
            if number in self.known and not same_data(list(other), list(given), 0)
        )
        return any(not same_data(self.ask("state", other), state, 0) for other in others)

    def offered(self, names: AbstractSet[str]) -> Solution:
        """What `import solution` gives a test file. Only these `names` come with a star."""
        return Solution(self, names)

    def change(self, name: str, value: Any) -> None:
        """Give one of the program's names another meaning."""
        self._defined.pop(name, None)
        self.ask("change", name, value)

    def ask(self, verb: str, *arguments: Any, **named: Any) -> Any:
        """Have the program do something; returns its value or raises its exception, and updates changed arguments."""
        with self._lock:
            self.used += 1
            buffer = io.BytesIO()
            _Writer(self, buffer).dump((verb, arguments, named, self.before()))
            self._send(b"Q", buffer.getvalue())
            kind, content = self._answer()
            if kind == b"E":
                self.raised = self._error(content)
            self._account_for_callbacks(self.raised if kind == b"E" else None)
            if kind == b"X":
                return self._kind(content)
            if kind == b"E":
                assert self.raised is not None
                if verb == "call" and isinstance(
                    self.raised, StopIteration
                ):  # it would quietly end a loop of the tests
                    self.strange = self.strange or "a call raised StopIteration"
                    self.raised = RuntimeError("a call raised StopIteration")
                raise self.raised
            if kind != b"V":
                raise ProgramGoneError("malformed answer")
            value, changed, same = self._read(content, 3)
            given = dict(enumerate(arguments)) | named
            for place, after in changed.items() if isinstance(changed, dict) else ():
                if place in given:
                    self._update(given[place], after)
            if isinstance(same, int | str) and isinstance(given.get(same), MUTABLE):
                return given[same]
            return value

    def _account_for_callbacks(self, raised: BaseException | None) -> None:
        """A function of the tests that broke off at a check must make itself known by what the program raises."""
        if any(type(raised) is not type(error) for error in self._broken_off):
            self.unsure = self.unsure or "the program passed over what a function of the tests raised"
        self._broken_off.clear()

    def _update(self, argument: Any, after: Any) -> None:
        if isinstance(argument, list | dict | deque):
            inside = argument.values() if isinstance(argument, dict) else argument
            if any(isinstance(item, MUTABLE) for item in inside):
                self.strange = self.strange or "an argument that holds others was changed"
        if argument and not after:
            self.emptied[id(argument)] = argument
        elif items(argument) != items(after):
            self.changed[id(argument)] = argument
        update(argument, after)

    def register(self, function: Callable[..., Any]) -> int:
        """A number by which the program can have `function` called."""
        self._functions.append(function)
        return len(self._functions) - 1

    def _answer(self) -> tuple[bytes, bytes]:
        """The next frame that is an answer; what the program prints or calls meanwhile is dealt with."""
        while True:
            kind, content = self._receive()
            if kind == b"C":
                self._call(content)
            elif kind == b"P":
                for name, text in zip(("stdout", "stderr"), self._read(content, 2), strict=True):
                    if type(text) is str and text and name in self._world:
                        self._world[name](text)
            elif kind == b"N":
                (what,) = self._read(content, 1)
                self.refused = values.short(str(what))
            else:
                return kind, content

    def _call(self, content: bytes) -> None:
        number, arguments, named = self._read(content, 3)
        function: Callable[..., Any] | None = None
        try:
            if isinstance(number, int) and number < 0:
                raise IndexError(number)
            function = self._world[number] if isinstance(number, str) else self._functions[number]
            chosen = bool(isinstance(number, int) and (arguments or named))
            self.calling_back += chosen
            try:
                result = function(*arguments, **named)
            finally:
                self.calling_back -= chosen
        except Exception as error:  # raised by a function of the tests, on behalf of the program
            if isinstance(error, AssertionError) or (function is not None and _checks(function)):
                self._broken_off.append(error)
            buffer = io.BytesIO()
            try:
                _Writer(self, buffer).dump(error)
                self._send(b"F", buffer.getvalue())
            except (pickle.PicklingError, TypeError, AttributeError):
                self._send(b"F", pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}")))
            return
        buffer = io.BytesIO()
        _Writer(self, buffer).dump(result)
        self._send(b"A", buffer.getvalue())

    def _read(self, content: bytes, parts: int) -> Any:
        try:
            value = values.loads(content, self._revive, deadline=self._channel.deadline)
        except values.NotPlainError as error:
            raise ProgramGoneError(str(error)) from None
        if not (isinstance(value, list) and len(value) == parts):
            raise ProgramGoneError("malformed answer")
        return value

    def _revive(self, handle: values.Handle) -> Any:
        if self._plain_only and not self._named:
            raise NotPlainAnswerError(handle.name)
        if handle.name == "coroutine":
            return _awaited(self, Remote(self, handle))
        known = self.known.get(handle.number)
        if known is None:
            known = self.known[handle.number] = Remote(self, handle)
        return known

    def _kind(self, content: bytes) -> type[BaseException]:
        """An exception class that the program hands over."""
        (lineage,) = self._read(content, 1)
        if self._plain_only:
            raise NotPlainAnswerError("an exception class")
        try:
            kind = self.exceptions.of(lineage)
        except (TypeError, ValueError, AttributeError) as error:
            raise ProgramGoneError(f"malformed answer: {error}") from None
        if issubclass(AssertionError, kind):
            self.unsure = self.unsure or f"an exception class of the program is {kind.__name__}, as failed checks are"
        return kind

    def _error(self, content: bytes) -> BaseException:
        """What the program raised."""
        self._named = True  # an exception may hold objects, which nobody looks at where only plain values go
        described = self._read(content, 5)
        self._named = False
        try:
            if self._plain_only:
                lineage, text = described[:2]
                name = lineage if isinstance(lineage, str) else lineage[-1][1]
                return ProgramRaisedError(f"{str(name).rpartition(':')[2][:MAX_NAME]}: {str(text)[:MAX_TEXT]}")
            return self.exceptions.exception(described)
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            raise ProgramGoneError(f"malformed answer: {error}") from None

    def _missing(self, number: int | None, kind: str, name: str) -> Any:
        """What an exception does not hold itself its class may have."""
        if number is not None and not name.startswith("_"):
            handle = values.Handle(number=number, name=kind, classes=(), form="class")
            value = self.ask("getattr", Remote(self, handle), name)
            if not isinstance(value, Remote):
                return value
        self.strange = self.strange or f"the program's exception was asked for {name!r}"
        raise AttributeError(f"the program's {kind} was handed over without {name!r}")

    def _send(self, kind: bytes, content: bytes) -> None:
        try:
            self._channel.send(kind, content)
        except ChannelClosedError as error:
            raise ProgramGoneError(str(error)) from None

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            return self._channel.receive()
        except FrameTooLargeError as error:
            raise TooLargeError(str(error)) from None
        except ChannelClosedError as error:
            raise ProgramGoneError(str(error)) from None

    def allows(self, thing: Remote, method: str) -> bool:
        """Whether an operator may be asked of an object: the gold's class has it, or nothing is known of the gold's and
        the tests made the object."""
        name = thing._class_name()
        if name is None:
            return False
        if self.classes is None:
            return thing._handle.number in self.made
        return method in self.classes[name]


async def _awaited(program: RemoteProgram, thing: Remote) -> Any:
    return program.ask("await", thing)


def _checks(function: Callable[..., Any]) -> bool:
    """Whether a function of the tests has checks in it: `instrument` made them calls."""
    code = function.__code__ if isinstance(function, types.FunctionType) else None
    return code is not None and not CHECKING.isdisjoint(code.co_names)


def _shown(error: BaseException) -> str:
    text = str(error) if isinstance(error, ProgramRaisedError) else f"{type(error).__name__}: {error}"
    return text[:300]


class _Writer(pickle.Pickler):
    """Writes a request. Only the program reads it."""

    def __init__(self, program: RemoteProgram, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=pickle.HIGHEST_PROTOCOL)
        self._program = program

    def persistent_id(self, value: Any) -> tuple[str, int] | None:
        kind = type(value)
        if kind is Remote:
            return "kept", value._handle.number
        bound = kind in _BOUND and not isinstance(value.__self__, types.ModuleType | type | None)
        if bound or kind in (types.FunctionType, types.MethodType) or kind.__module__ == "unittest.mock":
            self._program.strange = self._program.strange or "a function of the tests was handed over"
            return "function", self._program.register(value)
        if kind.__module__ == "__main__":
            raise NotJudgeableError(f"they hand the program an object of their own class {kind.__name__!r}")
        if isinstance(value, BaseException) and (number := self._program.exceptions.number(kind)) is not None:
            return "raised", number
        if isinstance(value, type) and value.__module__ == "__main__":
            raise NotJudgeableError(f"they hand the program their own class {value.__name__!r}")
        return None

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, _ITERATORS):
            return NotImplemented
        self._program.strange = self._program.strange or "an iterator of the tests was handed over"
        items: Any = value
        return iter, (list(items),)
