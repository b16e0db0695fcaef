"""The tests' side of the program: stand-ins for its names and objects, and the one connection they speak through.

Rule: the program is never told what a test expects. A plain value compared with an object of the program is unequal
and unordered without asking. Two objects of a class under test are equal where the program says so and what they hold,
read as data, is the same. Operators work where the gold's own class has them, or between objects that the tests made.
Everything that comes back is data. `RemoteProgram.strange` says that something happened here that could differ from
what happens in one process, so that this verdict needs a second look; `unsure`, that it must not be believed.
"""

import io
import pickle
import re
import sys
import types
from _thread import RLock
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ponder.sandbox import values
from ponder.sandbox.channel import Channel, ChannelClosedError, FrameTooLargeError
from ponder.sandbox.checks import CHECKING
from ponder.sandbox.serve import BINARY_OPERATIONS, UNARY_OPERATIONS

__all__ = [
    "NotJudgeableError",
    "NotPlainAnswerError",
    "ProgramGoneError",
    "ProgramRaisedError",
    "Remote",
    "RemoteProgram",
    "TooLargeError",
    "check_modules",
]

Plain = TypeVar("Plain")

_ITERATORS = (types.GeneratorType, map, filter, zip, enumerate, reversed)
_BOUND = (types.BuiltinMethodType, types.MethodWrapperType)
"""Methods of built-in objects, such as `seen.append`."""
_MUTABLE = (list, dict, set, bytearray, deque)
_LENDING = sys.stdlib_module_names - {"unittest"}
"""Packages whose exceptions are the same on both sides; those of the test runner would speak to it."""
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_PACKAGES = frozenset({
    "Crypto", "bs4", "cv2", "django", "faker", "flask", "gensim", "lxml", "matplotlib", "mpmath", "natsort", "networkx",
    "nltk", "numba", "numpy", "pandas", "psutil", "pytest", "pytz", "dateutil", "regex", "requests", "scipy", "seaborn",
    "sklearn", "skimage", "sortedcontainers", "statsmodels", "sympy", "tensorflow", "torch", "yaml", "PIL",
})  # fmt: skip
"""What programs use beyond the standard library. Any other name would be a way not to be judged."""
_MAX_NAME = 100
_MAX_TEXT = 1000


class ProgramGoneError(BaseException):
    """The program ended or stopped keeping to the format. No test may catch it."""


class TooLargeError(ProgramGoneError):
    """One answer is larger than this side takes."""


class ProgramRaisedError(Exception):
    """What the program raised, where only plain values can be dealt with: never its own class."""


class NotPlainAnswerError(BaseException):
    """The program handed over an object where only plain values can be dealt with. No test may catch it."""


class NotJudgeableError(BaseException):
    """The tests do something that cannot be done across processes. No test may catch it."""


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
        self._classes = classes
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
        self.swallowed: list[BaseException] = []
        """Failed checks of the tests that the program kept from them."""
        self.calling_back = 0
        """How many functions of the tests run on what the program gave them."""
        self._broken_off: list[BaseException] = []
        self._functions: list[Callable[..., Any]] = []
        self._exceptions: dict[int, type[BaseException]] = {}
        self._known: dict[int, Remote] = {}
        self.familiar: dict[int, str] = {}
        """Classes under test: number and name."""
        self.made: set[int] = set()
        """Objects that the tests made themselves, by calling a class under test."""
        self.expected: set[str] = set()
        """What the tests call, as they would a class, for what they expect."""
        self._expected: dict[int, str] = {}
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

    def look(self, name: str) -> Any:
        """What the program calls `name`; a class under test becomes familiar."""
        self._named = True
        self.used += 1
        value = self._defined[name] if name in self._defined else self.ask("look", name)
        if isinstance(value, _MUTABLE):
            self.strange = self.strange or f"{name!r} of the program was handed over as a copy"
        self._named = False
        under_test = name[:1].isupper() if self._classes is None else name in self._classes
        if name in self.expected and isinstance(value, Remote):
            self._expected[value._handle.number] = name
        if under_test and isinstance(value, Remote) and value._handle.form == "class":
            self.familiar[value._handle.number] = name
        return value

    def note_made(self, maker: "Remote", value: Any, fresh: bool, given: tuple[Any, ...]) -> None:
        """What is expected must be made of what the tests say, not be the same whatever they say."""
        number = maker._handle.number
        own = isinstance(value, Remote) and fresh
        if isinstance(value, Remote) and own and number in self.familiar:
            self.made.add(value._handle.number)
        if number in self._expected and given:
            if isinstance(value, Remote) and own:
                self._given[value._handle.number] = given
            elif isinstance(value, Remote) or not _holds_any(value, given):
                self.unsure = self.unsure or f"{self._expected[number]} does not hold what it was made of"

    def depends(self, thing: "Remote", state: Any) -> bool:
        """Whether what an object of the tests holds depends on what it was made of."""
        given = self._given.get(thing._handle.number)
        if given is None or _holds_any(state, given):
            return True
        others = (
            self._known[number]
            for number, other in self._given.items()
            if number in self._known and not _same_data(list(other), list(given), 0)
        )
        return any(not _same_data(self.ask("state", other), state, 0) for other in others)

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
            if isinstance(same, int | str) and isinstance(given.get(same), _MUTABLE):
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
            if any(isinstance(item, _MUTABLE) for item in inside):
                self.strange = self.strange or "an argument that holds others was changed"
        _update(argument, after)

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
        known = self._known.get(handle.number)
        if known is None:
            known = self._known[handle.number] = Remote(self, handle)
        return known

    def _kind(self, content: bytes) -> type[BaseException]:
        """An exception class that the program hands over."""
        (lineage,) = self._read(content, 1)
        if self._plain_only:
            raise NotPlainAnswerError("an exception class")
        try:
            kind = self._exception_class(lineage)
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
                return ProgramRaisedError(f"{str(name).rpartition(':')[2][:_MAX_NAME]}: {str(text)[:_MAX_TEXT]}")
            return self._exception(described)
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            raise ProgramGoneError(f"malformed answer: {error}") from None

    def _exception_class(self, lineage: Any) -> type[BaseException]:
        """The class that stands for one of the program's: `lineage` has [number, name, names or numbers of its bases]
        for each of its own classes, bases first; a class of the standard library is its name."""
        if isinstance(lineage, str):
            module, _, name = lineage.partition(":")
            loaded = sys.modules.get(module) if module.partition(".")[0] in _LENDING else None
            base = Exception if loaded is None else loaded.__dict__.get(name)
            if isinstance(base, type) and issubclass(base, Exception | SystemExit):
                return base
            return Exception
        made: type[BaseException] = Exception
        for entry in lineage if isinstance(lineage, list) else ():
            if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], list)):
                raise ProgramGoneError("malformed exception")
            number, name, bases = entry
            if number not in self._exceptions:
                parents = [
                    self._exceptions.get(b, Exception) if isinstance(b, int) else self._exception_class(b)
                    for b in bases
                ]
                self._exceptions[number] = self._make(str(name)[:_MAX_NAME], tuple(dict.fromkeys(parents)))
            made = self._exceptions[number]
        return made

    def _make(self, name: str, bases: tuple[type[BaseException], ...]) -> type[BaseException]:
        members = {"__str__": _said, "__getattr__": lambda error, asked: self._missing(error, asked)}
        try:
            return type(name.replace("\0", ""), bases or (Exception,), members)
        except TypeError:  # bases that do not fit together
            return type(name.replace("\0", ""), bases[:1], members)

    def _missing(self, error: BaseException, name: str) -> Any:
        """What an exception does not hold itself its class may have."""
        number = next((number for number, kind in self._exceptions.items() if kind is type(error)), None)
        if number is not None and not name.startswith("_"):
            kind = values.Handle(number=number, name=type(error).__name__, classes=(), form="class")
            value = self.ask("getattr", Remote(self, kind), name)
            if not isinstance(value, Remote):
                return value
        self.strange = self.strange or f"the program's exception was asked for {name!r}"
        raise AttributeError(f"the program's {type(error).__name__} was handed over without {name!r}")

    def _exception(self, described: Any) -> BaseException:
        lineage, text, arguments, fields, cause = described
        kind = self._exception_class(lineage)
        arguments = arguments if isinstance(arguments, list) else [text]
        try:
            error = kind(*arguments)
        except TypeError:  # a class that wants other arguments than it keeps
            error = kind.__new__(kind, *arguments)
        if isinstance(fields, dict):
            error.__dict__.update({key: value for key, value in fields.items() if type(key) is str})
        if not isinstance(lineage, str):
            error.__dict__["_said"] = str(text)[:_MAX_TEXT]
        if isinstance(cause, list) and len(cause) == 5:
            error.__cause__ = self._exception(cause)
        return error

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

    def allows(self, thing: "Remote", method: str) -> bool:
        """Whether an operator may be asked of an object: the gold's class has it, or nothing is known of the gold's and
        the tests made the object."""
        name = thing._class_name()
        if name is None:
            return False
        if self._classes is None:
            return thing._handle.number in self.made
        return method in self._classes[name]


async def _awaited(program: RemoteProgram, thing: "Remote") -> Any:
    return program.ask("await", thing)


def _checks(function: Callable[..., Any]) -> bool:
    """Whether a function of the tests has checks in it: `instrument` made them calls."""
    code = function.__code__ if isinstance(function, types.FunctionType) else None
    return code is not None and not CHECKING.isdisjoint(code.co_names)


def _said(error: BaseException) -> str:
    return str(error.__dict__.get("_said", ""))


def check_modules(failure: str) -> None:
    """A program that wants a well-known package which is not there says nothing."""
    missing = _MISSING.search(failure)
    if missing is not None and missing[1].partition(".")[0] in _PACKAGES:
        raise NotJudgeableError(f"the program imports {missing[1]}, and only the standard library is there")


def _shown(error: BaseException) -> str:
    text = str(error) if isinstance(error, ProgramRaisedError) else f"{type(error).__name__}: {error}"
    return text[:300]


class Remote:
    # Stands for one object of the program. No doc string: `__doc__` is the object's own.

    __slots__ = ("_handle", "_program")

    def __init__(self, program: RemoteProgram, handle: values.Handle) -> None:
        self._program = program
        self._handle = handle

    def _class_name(self) -> str | None:
        """The name of the class under test that it is an instance of, the nearest first; None where it is of none."""
        familiar = self._program.familiar
        if self._handle.form == "class":
            return None
        return next((familiar[number] for number in self._handle.classes if number in familiar), None)

    def _demand(self, method: str) -> None:
        if not self._program.allows(self, method):
            self._refuse(f"{method} of a {self._handle.name} object")

    def _refuse(self, what: str) -> None:
        self._program.strange = self._program.strange or what
        raise TypeError(f"{what}: not a method under test")

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if self._handle.form == "object":
            self._demand("__call__")
        known = len(self._program._known)
        value = self._program.ask("call", self, *arguments, **named)
        self._program.note_made(self, value, len(self._program._known) > known, (*arguments, *named.values()))
        return value

    def __getattr__(self, name: str) -> Any:
        if name in ("__wrapped__", "__signature__", "__text_signature__", "_is_coroutine"):
            raise AttributeError(name)  # what introspection tries first
        value = self._program.ask("getattr", self, name)
        if isinstance(value, _MUTABLE):
            self._program.strange = self._program.strange or f"{name!r} of an object was handed over as a copy"
        if self._handle.form == "object" and isinstance(value, Remote) and self._class_name() is None:
            self._refuse(f"attribute {name!r} of a {self._handle.name} object")
        return value

    def own_class(self) -> Any:
        """Its class, as the program has it."""
        return self._program.ask("class", self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Remote.__slots__:
            object.__setattr__(self, name, value)
        else:
            self._program.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._program.ask("delattr", self, name)

    __doc__ = property(lambda self: self._program.ask("getattr", self, "__doc__"))

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        raise NotJudgeableError("they extend a class of the program")

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Remote):
            return self._differs()
        if other._handle.number == self._handle.number:
            return True
        if self._class_name() is None or other._class_name() is None:
            self._program.strange = self._program.strange or f"two {self._handle.name} objects were compared"
            return False
        if self._program.ask("eq", self, other) is not True:
            return False
        if not self._holds_the_same(other, 0):
            self._program.unsure = "objects are equal only by the program's own word"
        return True

    def __ne__(self, other: object) -> Any:
        return not self == other

    def _differs(self) -> bool:
        name = self._class_name()
        if name is not None:
            self._program.strange = self._program.strange or f"a {name} object was compared with a plain value"
        return False

    def _holds_the_same(self, other: "Remote", depth: int) -> bool:
        """Whether two objects are of one class and hold the same data, and any at all."""
        mine, theirs = (self._program.ask("state", thing) for thing in (self, other))
        if depth > 20 or self._handle.classes[:1] != other._handle.classes[:1] or not mine:
            return False
        if not (self._program.depends(self, mine) and self._program.depends(other, theirs)):
            return False
        return _same_data(mine, theirs, depth)

    def __hash__(self) -> int:
        self._program.strange = self._program.strange or "an object was put into a set or a dict"
        return self._handle.number

    def _order(self, verb: str, other: object) -> Any:
        both = isinstance(other, Remote) and self._class_name() is not None and other._class_name() is not None
        method = f"__{verb}__"
        if not both or (self._program._classes is not None and not self._program.allows(self, method)):
            self._program.strange = self._program.strange or f"a {self._handle.name} object was put in order"
            return NotImplemented
        return self._program.ask(verb, self, other) is True

    def __lt__(self, other: object) -> Any:
        return self._order("lt", other)

    def __le__(self, other: object) -> Any:
        return self._order("le", other)

    def __gt__(self, other: object) -> Any:
        return self._order("gt", other)

    def __ge__(self, other: object) -> Any:
        return self._order("ge", other)

    def __contains__(self, item: Any) -> bool:
        if self._handle.form != "class":  # an enumeration has its members
            self._demand("__contains__")
        return self._program.ask("contains", self, item) is True

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, Remote) and self._handle.number in instance._handle.classes

    def __subclasscheck__(self, kind: object) -> bool:
        return isinstance(kind, Remote) and (
            kind._handle.number == self._handle.number or self._handle.number in kind._handle.classes
        )

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

    def __format__(self, form: str) -> str:
        value = self._program.ask("format", self, form)
        return value if type(value) is str else ""

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

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        swallowed = self._program.ask("leave", self, error) is True
        if swallowed and isinstance(error, AssertionError) and error is not self._program.raised:
            self._program.swallowed.append(error)
        return swallowed

    async def __aenter__(self) -> Any:
        value = self._program.ask("aenter", self)
        return await value if isinstance(value, types.CoroutineType) else value

    async def __aexit__(self, *_: object) -> None:
        value = self._program.ask("aleave", self)
        if isinstance(value, types.CoroutineType):
            await value


def _same_data(mine: Any, theirs: Any, depth: int) -> bool:
    if isinstance(mine, Remote) and isinstance(theirs, Remote):
        same = mine._handle.number == theirs._handle.number
        return same or (depth < 20 and mine._holds_the_same(theirs, depth + 1))
    if type(mine) is not type(theirs):
        return False
    if isinstance(mine, list | tuple | deque):
        return len(mine) == len(theirs) and all(_same_data(a, b, depth) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(_same_data(mine[key], theirs[key], depth) for key in mine)
    return bool(mine == theirs)


def _holds_any(value: Any, given: tuple[Any, ...]) -> bool:
    """Whether one of the things given is in `value`, or is it."""
    if any(_same_data(value, one, 0) for one in given):
        return True
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return isinstance(value, list | tuple | set | frozenset | deque) and any(_holds_any(v, given) for v in value)


def _binary(verb: str) -> tuple[Callable[[Remote, Any], Any], Callable[[Remote, Any], Any]]:
    name = verb.rstrip("_")

    def forward(self: Remote, other: Any) -> Any:
        self._operate(f"__{name}__", other)
        return self._program.ask(verb, self, other)

    def reflected(self: Remote, other: Any) -> Any:
        self._operate(f"__r{name}__", other)
        return self._program.ask("reflected", verb, self, other)

    return forward, reflected


def _operate(self: Remote, method: str, other: object) -> None:
    """Whether an operator may be asked. A plain operand could be what is expected: it is shown only to a method that
    the gold's own class has."""
    known = self._program._classes is not None
    if self._program.allows(self, method) and (known or isinstance(other, Remote)):
        return
    self._refuse(f"{method} of a {self._handle.name} object")


Remote._operate = _operate  # type: ignore[attr-defined]


def _unary(verb: str) -> Callable[[Remote], Any]:
    def operation(self: Remote) -> Any:
        self._demand(f"__{verb}__")
        return self._program.ask(verb, self)

    return operation


def _round(self: Remote, *digits: int) -> Any:
    self._demand("__round__")
    return self._program.ask("round", self, *digits)


for _verb in BINARY_OPERATIONS:
    _forward, _reflected = _binary(_verb)
    setattr(Remote, f"__{_verb.rstrip('_')}__", _forward)
    setattr(Remote, f"__r{_verb.rstrip('_')}__", _reflected)
for _verb in UNARY_OPERATIONS:
    setattr(Remote, f"__{_verb}__", _unary(_verb))
setattr(Remote, "__round__", _round)  # noqa: B010  (as the others)


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
        if isinstance(value, BaseException) and kind in self._program._exceptions.values():
            number = next(n for n, known in self._program._exceptions.items() if known is kind)
            return "raised", number
        if isinstance(value, type) and value.__module__ == "__main__":
            raise NotJudgeableError(f"they hand the program their own class {value.__name__!r}")
        return None

    def reducer_override(self, value: Any) -> Any:
        return (iter, (list(value),)) if isinstance(value, _ITERATORS) else NotImplemented


def _update(argument: Any, after: Any) -> None:
    """Give the tests' own object the content it has after the program changed it in place; what it holds stays the
    same object where its kind does."""
    if type(argument) is not type(after):
        return
    match argument:
        case list() | deque():
            kept = list(argument)
            argument.clear()
            argument.extend(_renewed(old, new) for old, new in zip(kept, after, strict=False))
            argument.extend(list(after)[len(kept) :])
        case bytearray():
            argument[:] = after
        case set():
            argument.clear()
            argument.update(after)
        case dict():
            renewed = {key: _renewed(argument[key], new) if key in argument else new for key, new in after.items()}
            argument.clear()
            argument.update(renewed)


def _renewed(old: Any, new: Any) -> Any:
    if type(old) is type(new) and isinstance(old, _MUTABLE):
        _update(old, new)
        return old
    return new
