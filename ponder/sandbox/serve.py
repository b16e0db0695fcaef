"""The program's side: run the program, then do what the tests ask of it.

This runs in the same process as the program and is therefore no more trustworthy than the program. All it can do is
answer with values; what they should be is known only on the other side (`remote`, `judge`).

Requests are pickles (they come from the side that is trusted): (verb, arguments...). Answers are b"V" a value with the
arguments that changed, b"X" an exception class, b"E" an exception; b"C" asks to call a function of the tests.
"""

import builtins
import io
import json
import operator
import pickle
import random
import sys
import types
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from ponder.sandbox import values
from ponder.sandbox.channel import Channel, ChannelClosedError

__all__ = ["BINARY_OPERATIONS", "OPERATIONS", "UNARY_OPERATIONS", "run_module", "serve_program"]

_SOURCE, _CHANNEL = 3, 4
_MUTABLE = (list, dict, set, bytearray, deque)

BINARY_OPERATIONS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "and_", "or_", "xor",
)  # fmt: skip
UNARY_OPERATIONS = ("neg", "pos", "abs", "invert", "reversed", "round")
_FROM_OPERATOR = (
    *BINARY_OPERATIONS, "neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem",
    "setitem", "delitem", "index",
)  # fmt: skip
_FROM_BUILTINS = (
    "len", "str", "repr", "bool", "int", "float", "iter", "next", "reversed", "round", "getattr", "setattr", "delattr",
)  # fmt: skip

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in _FROM_OPERATOR},
    **{name: getattr(builtins, name) for name in _FROM_BUILTINS},
    "call": lambda function, *arguments, **named: function(*arguments, **named),
    "reflected": lambda name, mine, other: OPERATIONS[name](other, mine),
    "enter": lambda manager: type(manager).__enter__(manager),
    "leave": lambda manager: type(manager).__exit__(manager, None, None, None),
}
"""What the tests may ask to be done with the program's objects."""


def run_module(name: str) -> types.ModuleType:
    """Run the program at the source descriptor as module `name`."""
    with open(_SOURCE, "rb") as stream:
        source = stream.read()
    module = types.ModuleType(name)
    sys.modules[name] = module
    for end in ("exit", "quit"):  # the interpreter runs without the module `site`, which defines them
        setattr(builtins, end, sys.exit)
    exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module


def serve_program() -> int:
    """Role: run the program as module `solution`, then answer requests until the tests are done."""
    channel = Channel(_CHANNEL)
    random.seed(0)
    try:
        module = run_module("solution")
    except BaseException as error:
        channel.send(b"E", _describe(error))
        return 0
    server = _Server(channel, module)
    channel.send(b"R", server.defined())
    while True:
        try:
            _, request = channel.receive()
        except ChannelClosedError:
            return 0
        channel.send(*server.answer(request))


class _Server:
    def __init__(self, channel: Channel, module: types.ModuleType) -> None:
        self._channel = channel
        self._module = module
        self._kept: list[object] = []
        self._numbers: dict[int, int] = {}

    def defined(self) -> bytes:
        """The module's names, and of those that are functions the functions: nearly every test wants one."""
        space = {name: value for name, value in self._module.__dict__.items() if not name.startswith("__")}
        functions = {name: value for name, value in space.items() if type(value) is types.FunctionType}
        return values.dumps([list(space), functions], self._keep)

    def answer(self, request: bytes) -> tuple[bytes, bytes]:
        """Do one request. An exception of the program is an answer too."""
        try:
            verb, arguments, named = _Reader(self, request).load()
            if verb == "look":
                value, changed = self._module.__dict__[arguments[0]], {}
            else:
                before = [values.dumps(a, self._keep) if isinstance(a, _MUTABLE) else None for a in arguments]
                value = OPERATIONS[verb](*arguments, **named)
                changed = {
                    place: argument
                    for place, (argument, old) in enumerate(zip(arguments, before, strict=True))
                    if old is not None and values.dumps(argument, self._keep) != old
                }
            if isinstance(value, type) and issubclass(value, BaseException):
                return b"X", json.dumps(_lineage(value)).encode()
            return b"V", values.dumps([value, changed], self._keep)
        except BaseException as error:
            return b"E", _describe(error)

    def call_back(self, number: int, *arguments: object, **named: object) -> object:
        """Have the tests call one of their functions."""
        self._channel.send(b"C", values.dumps([number, list(arguments), named], self._keep))
        while True:
            kind, content = self._channel.receive()
            if kind == b"A":
                return _Reader(self, content).load()
            if kind == b"F":
                raise RuntimeError(content.decode())
            self._channel.send(*self.answer(content))

    def find(self, number: int) -> object:
        return self._kept[number]

    def _keep(self, value: object) -> values.Handle:
        kind = type(value)
        classes = () if isinstance(value, type) else tuple(self._number(c) for c in kind.__mro__ if c is not object)
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


class _Reader(pickle.Unpickler):
    """Reads a request: the tests name kept objects and their own functions by number."""

    def __init__(self, server: _Server, request: bytes) -> None:
        super().__init__(io.BytesIO(request))
        self._server = server

    def persistent_load(self, name: tuple[str, int]) -> object:
        kind, number = name
        return self._server.find(number) if kind == "kept" else partial(self._server.call_back, number)


def _lineage(kind: type[BaseException]) -> list[str]:
    """The class's own name, then its nearest built-in ancestor's."""
    known = (c.__name__ for c in kind.__mro__ if getattr(builtins, c.__name__, None) is c)
    return [kind.__name__, next(known)]


def _describe(error: BaseException) -> bytes:
    try:
        text = str(error)[:1000]
    except BaseException:  # the program's own __str__ may do anything
        text = ""
    code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else None
    return json.dumps([*_lineage(type(error)), text, code]).encode()
