"""Arguments that the program changed in place: the tests' own objects get the content that they have there."""

from collections import Counter, deque
from collections.abc import Hashable
from typing import Any

from ponder.sandbox.proxy import MUTABLE

__all__ = ["items", "update"]


_PLAIN = (int, str, bytes, complex, type(None))


def update(argument: Any, after: Any) -> None:
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


def items(value: Any) -> Counter[Hashable]:
    """What a container holds and how often, in whatever order."""
    return Counter(map(_frozen, value.items() if isinstance(value, dict) else value))


def _frozen(value: Any) -> Hashable:
    """What plain data has in common with its copies; anything else is only itself."""
    match value:
        case list() | tuple() | deque() | bytearray():
            return type(value).__name__, tuple(map(_frozen, value))
        case dict():
            return "dict", frozenset(map(_frozen, value.items()))
        case set() | frozenset():
            return "set", frozenset(map(_frozen, value))
        case float():
            return "float", repr(value)  # what is not a number equals nothing
        case _:
            return type(value).__name__, value if isinstance(value, _PLAIN) else id(value)


def _renewed(old: Any, new: Any) -> Any:
    if type(old) is type(new) and isinstance(old, MUTABLE):
        update(old, new)
        return old
    return new
