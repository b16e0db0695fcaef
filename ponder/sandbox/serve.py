"""The program's side: run the program, then do what the tests ask of it.

This runs in the same process as the program and is therefore no more trustworthy than the program. All it can do is
answer with values; what they should be is known only on the other side (`remote`, `judge`).

Requests are pickles (they come from the side that is trusted): (verb, arguments, named arguments, what changed in the
tests' world). Answers are b"V" [a value, the arguments that changed, the argument that the value is], b"X" an exception
class, b"E" an exception. Before an answer may come b"P", what was printed, b"N", what the
sandbox refused to the program, and b"C", which asks to call a function of
the tests or, by name, of their world.
"""

import builtins
import contextlib
import io
import linecache
import operator
import os
import pickle
import random
import stat
import sys
import types
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from ponder.sandbox import processes, values
from ponder.sandbox.channel import Channel, ChannelClosedError
from ponder.sandbox.world import adopt, read_files

__all__ = ["BINARY_OPERATIONS", "OPERATIONS", "UNARY_OPERATIONS", "run_module", "serve_program", "serve_world"]

_SOURCE, _CHANNEL = 3, 4
_MUTABLE = (list, dict, set, bytearray, deque)
_MAX_TEXT = 1000
_MAX_CAUSES = 3

BINARY_OPERATIONS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "and_", "or_", "xor",
)  # fmt: skip
UNARY_OPERATIONS = ("neg", "pos", "abs", "invert", "reversed")
_FROM_OPERATOR = (
    *BINARY_OPERATIONS, "neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem",
    "setitem", "delitem", "index",
)  # fmt: skip
_FROM_BUILTINS = (
    "len", "str", "repr", "bool", "int", "float", "iter", "next", "reversed", "round", "getattr", "setattr", "delattr",
    "format",
)  # fmt: skip

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in _FROM_OPERATOR},
    **{name: getattr(builtins, name) for name in _FROM_BUILTINS},
    "call": lambda function, *arguments, **named: function(*arguments, **named),
    "reflected": lambda name, mine, other: OPERATIONS[name](other, mine),
    "enter": lambda manager: type(manager).__enter__(manager),
    "leave": lambda manager, error: type(manager).__exit__(manager, type(error) if error else None, error, None),
    "aenter": lambda manager: type(manager).__aenter__(manager),
    "aleave": lambda manager: type(manager).__aexit__(manager, None, None, None),
    "class": type,
    "await": lambda coroutine: _awaited(coroutine),
    "state": lambda thing: _state(thing),
}
"""What the tests may ask to be done with the program's objects."""


def run_module(name: str) -> types.ModuleType:
    """Run the program at the source descriptor as module `name`."""
    with open(_SOURCE, "rb") as stream:
        source = stream.read()
    module = types.ModuleType(name)
    sys.modules[name] = module
    path = f"/tmp/{name.strip('_')}.py"
    module.__file__ = path
    for end in ("exit", "quit"):  # the interpreter runs without the module `site`, which defines them
        setattr(builtins, end, sys.exit)
    code = compile(source, path, "exec", dont_inherit=True)
    text = source.decode(errors="replace")
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)  # for tracebacks and `inspect`
    exec(code, module.__dict__)
    return module


def serve_program() -> int:
    """Role: run the program as module `solution`, then answer requests until the tests are done."""
    return _serve(worldly=False)


def serve_world() -> int:
    """Role: the same for tests that share more than values with the program: what it reads, prints and leaves."""
    return _serve(worldly=True)


def _serve(*, worldly: bool) -> int:
    channel = Channel(_CHANNEL)
    server = _Server(channel, worldly)
    processes.watch()
    random.seed(0)
    try:
        if worldly:
            _ask_for_input(server)
        server.module = run_module("solution")
    except BaseException as error:
        server.send_notes()
        channel.send(b"E", server.described(error))
        return 0
    server.send_notes()
    channel.send(b"R", server.defined())
    while True:
        try:
            _, request = channel.receive()
        except ChannelClosedError:
            return 0
        answer = server.answer(request)
        server.send_notes()
        channel.send(*answer)


def _ask_for_input(server: "_Server") -> None:
    """Have `input` and standard input ask the tests, who may have replaced theirs."""

    class Entered(io.TextIOBase):
        def readable(self) -> bool:
            return True

        def readline(self, size: int | None = -1) -> str:  # type: ignore[override]
            return str(server.call_back("readline"))

        def read(self, size: int | None = -1) -> str:
            return str(server.call_back("read"))

    sys.stdin = Entered()
    builtins.input = lambda prompt="": str(server.call_back("input", str(prompt)))


def _awaited(coroutine: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await coroutine

    return asyncio.run(wait())


def _state(thing: object) -> Any:
    """What an object holds, to be compared with what another holds."""
    kept = dict(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and name in dir(thing):
                kept[name] = getattr(thing, name)
    return kept


class _Server:
    def __init__(self, channel: Channel, worldly: bool) -> None:
        self._channel = channel
        self._worldly = worldly
        self.module = types.ModuleType("solution")
        self._kept: list[object] = []
        self._numbers: dict[int, int] = {}
        self._refused = ""
        self._told = {number: 0 for number in (1, 2) if worldly and stat.S_ISREG(os.fstat(number).st_mode)}

    def defined(self) -> bytes:
        """The module's names, and of those that are functions the functions: nearly every test wants one."""
        space = {name: value for name, value in self.module.__dict__.items() if not name.startswith("__")}
        functions = {name: value for name, value in space.items() if type(value) is types.FunctionType}
        return values.dumps([list(space), functions], self._keep)

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """Do one request. An exception of the program is an answer too."""
        try:
            verb, arguments, named, changes = _Reader(self, request).load()
            adopt(changes)
            files = read_files() if self._worldly else {}
            value, changed, same = self._do(verb, arguments, named)
            if self._worldly and (left := read_files()) != files:
                self.call_back("files", left)
            if isinstance(value, type) and issubclass(value, BaseException):
                return b"X", values.dumps([self._lineage(value)], self._keep)
            return b"V", values.dumps([value, changed, same], self._keep)
        except BaseException as error:
            return b"E", self.described(error)

    def _do(self, verb: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[Any, Any], Any]:
        """The value, the arguments that were changed in place, and which argument the value is."""
        if verb == "look":
            return self.module.__dict__[arguments[0]], {}, None
        if verb == "change":
            self.module.__dict__[arguments[0]] = arguments[1]
            return None, {}, None
        given = {
            place: argument
            for place, argument in (*enumerate(arguments), *named.items())
            if isinstance(argument, _MUTABLE)
        }
        before = {place: values.dumps(argument, self._keep) for place, argument in given.items()}
        value = OPERATIONS[verb](*arguments, **named)
        changed = {
            place: argument for place, argument in given.items() if values.dumps(argument, self._keep) != before[place]
        }
        return value, changed, next((place for place, argument in given.items() if argument is value), None)

    def send_notes(self) -> None:
        """Hand over what comes before an answer."""
        if processes.refused() != self._refused:
            self._refused = processes.refused()
            self._channel.send(b"N", values.dumps([self._refused], self._keep))
        self.send_printed()

    def send_printed(self) -> None:
        """Hand over what was printed since the last time, where anybody listens."""
        if not self._told:
            return
        texts = []
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            with contextlib.suppress(ValueError, OSError, AttributeError):  # closed or replaced by the program
                stream.flush()
            size = os.fstat(number).st_size
            text = os.pread(number, size - self._told[number], self._told[number])
            self._told[number] = size
            texts.append(text.decode(errors="replace"))
        if any(texts):
            self._channel.send(b"P", values.dumps(texts, self._keep))

    def call_back(self, which: int | str, *arguments: object, **named: object) -> object:
        """Have the tests call one of their functions, or do something in their world."""
        self.send_printed()
        self._channel.send(b"C", values.dumps([which, list(arguments), named], self._keep))
        while True:
            kind, content = self._channel.receive()
            if kind == b"A":
                return _Reader(self, content).load()
            if kind == b"F":
                raise _Reader(self, content).load()
            answer = self.answer(content)
            self.send_notes()
            self._channel.send(*answer)

    def find(self, number: int) -> object:
        return self._kept[number]

    def _keep(self, value: object) -> values.Handle:
        kind = type(value)
        mro = value.__mro__ if isinstance(value, type) else kind.__mro__
        classes = tuple(self._number(c) for c in mro if c is not object)
        number = self._number(value)
        if isinstance(value, type):
            return values.Handle(number=number, name=value.__name__, classes=classes, form="class")
        form: Literal["function", "object"] = (
            "function" if callable(value) or isinstance(value, types.GeneratorType) else "object"
        )
        return values.Handle(number=number, name=kind.__name__, classes=classes, form=form)

    def _number(self, value: object) -> int:
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._kept)
            self._kept.append(value)
        return self._numbers[id(value)]

    def _lineage(self, kind: type[BaseException]) -> Any:
        """The name of a class of the standard library, or [number, name, bases] of each of the program's own."""
        own = [c for c in reversed(kind.__mro__) if _standard_name(c) is None]
        if not own:
            return _standard_name(kind)
        return [[self._number(c), c.__name__, [_standard_name(b) or self._number(b) for b in c.__bases__]] for c in own]

    def described(self, error: BaseException) -> bytes:
        return values.dumps(self._describe(error, _MAX_CAUSES), self._keep)

    def _describe(self, error: BaseException, causes: int) -> list[Any]:
        try:
            text = str(error)[:_MAX_TEXT]
        except BaseException:  # the program's own __str__ may do anything
            text = ""
        cause = error.__cause__
        told = None if cause is None or causes == 0 else self._describe(cause, causes - 1)
        fields = {name: value for name, value in error.__dict__.items() if name != "__notes__"}
        arguments = list(error.args)
        if isinstance(error, ExceptionGroup):
            inner = [self._describe(one, causes - 1) for one in error.exceptions[:_MAX_CAUSES]] if causes else []
            arguments = [error.message, inner]
        return [self._lineage(type(error)), text, arguments, fields, told]


def _standard_name(kind: type) -> str | None:
    """`module:name` of a class that the standard library brings."""
    module = sys.modules.get(kind.__module__)
    known = kind.__module__.partition(".")[0] in sys.stdlib_module_names and kind.__module__ != "__main__"
    found = module is not None and module.__dict__.get(kind.__name__) is kind
    return f"{kind.__module__}:{kind.__name__}" if known and found else None


class _Reader(pickle.Unpickler):
    """Reads a request: the tests name kept objects and their own functions by number."""

    def __init__(self, server: _Server, request: bytes) -> None:
        super().__init__(io.BytesIO(request))
        self._server = server

    def persistent_load(self, name: tuple[str, int]) -> object:
        kind, number = name
        match kind:
            case "kept":
                return self._server.find(number)
            case "raised":
                made: Any = self._server.find(number)
                return made()
            case _:
                return partial(self._server.call_back, number)
