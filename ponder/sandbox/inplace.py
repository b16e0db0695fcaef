"""Arguments that the program changed in place: the tests' own objects get the content that they have there."""

from collections import deque
from typing import Any

from ponder.sandbox.proxy import MUTABLE

__all__ = ["update"]


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


def _renewed(old: Any, new: Any) -> Any:
    if type(old) is type(new) and isinstance(old, MUTABLE):
        update(old, new)
        return old
    return new
