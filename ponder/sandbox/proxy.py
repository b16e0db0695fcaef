"""Stand-ins for the program's objects, as the tests hold them.

The program is never told what a test expects. A plain value compared with an object of the program is unequal and
unordered without asking. Two objects of a class under test are equal where the program says so and what they hold, read
as data, is the same. Operators work where the gold's own class has them, or between objects that the tests made.
"""

import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from ponder.sandbox import values
from ponder.sandbox.errors import NotJudgeableError
from ponder.sandbox.serve import BINARY_OPERATIONS, UNARY_OPERATIONS

__all__ = ["MUTABLE", "Owner", "Remote", "holds_any", "same_data"]

Plain = TypeVar("Plain")

MUTABLE = (list, dict, set, bytearray, deque)


class Owner(Protocol):
    """The program that the objects belong to; `remote` says what each member is."""

    strange: str
    unsure: str
    raised: BaseException | None
    swallowed: list[BaseException]
    familiar: dict[int, str]
    known: dict[int, "Remote"]

    @property
    def classes(self) -> Mapping[str, frozenset[str]] | None: ...
    def ask(self, verb: str, *arguments: Any, **named: Any) -> Any: ...
    def allows(self, thing: "Remote", method: str) -> bool: ...
    def note_made(self, maker: "Remote", value: Any, fresh: bool, given: tuple[Any, ...]) -> None: ...
    def depends(self, thing: "Remote", state: Any) -> bool: ...


class Remote:
    # Stands for one object of the program. No doc string: `__doc__` is the object's own.

    __slots__ = ("_handle", "_program")

    def __init__(self, program: Owner, handle: values.Handle) -> None:
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
        known = len(self._program.known)
        value = self._program.ask("call", self, *arguments, **named)
        self._program.note_made(self, value, len(self._program.known) > known, (*arguments, *named.values()))
        return value

    def __getattr__(self, name: str) -> Any:
        if name in ("__wrapped__", "__signature__", "__text_signature__", "_is_coroutine"):
            raise AttributeError(name)  # what introspection tries first
        value = self._program.ask("getattr", self, name)
        if isinstance(value, MUTABLE):
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
        return same_data(mine, theirs, depth)

    def __hash__(self) -> int:
        self._program.strange = self._program.strange or "an object was put into a set or a dict"
        return hash(("an object of the program", self._handle.number))  # not one that the program chose

    def _order(self, verb: str, other: object) -> Any:
        both = isinstance(other, Remote) and self._class_name() is not None and other._class_name() is not None
        method = f"__{verb}__"
        if not both or (self._program.classes is not None and not self._program.allows(self, method)):
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


def same_data(mine: Any, theirs: Any, depth: int) -> bool:
    if isinstance(mine, Remote) and isinstance(theirs, Remote):
        same = mine._handle.number == theirs._handle.number
        return same or (depth < 20 and mine._holds_the_same(theirs, depth + 1))
    if type(mine) is not type(theirs):
        return False
    if isinstance(mine, list | tuple | deque):
        return len(mine) == len(theirs) and all(same_data(a, b, depth) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(same_data(mine[key], theirs[key], depth) for key in mine)
    return bool(mine == theirs)


def holds_any(value: Any, given: tuple[Any, ...]) -> bool:
    """Whether one of the things given is in `value`, or is it."""
    if any(same_data(value, one, 0) for one in given):
        return True
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return isinstance(value, list | tuple | set | frozenset | deque) and any(holds_any(v, given) for v in value)


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
    known = self._program.classes is not None
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
