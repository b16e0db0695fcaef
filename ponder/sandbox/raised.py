"""What the program raised, made anew on the tests' side: its own exception classes, told apart by number."""

import sys
from collections.abc import Callable
from typing import Any

from ponder.sandbox.errors import ProgramGoneError

__all__ = ["MAX_NAME", "MAX_TEXT", "ExceptionClasses"]

MAX_NAME, MAX_TEXT = 100, 1000
_LENDING = sys.stdlib_module_names - {"unittest"}
"""Packages whose exceptions are the same on both sides; those of the test runner would speak to it."""


class ExceptionClasses:
    """The classes of the program's exceptions by number. `missing` answers for what an exception does not hold: given
    the class's number, its name and what was asked for, it returns the value or raises AttributeError."""

    def __init__(self, missing: Callable[[int | None, str, str], Any]) -> None:
        self._missing = missing
        self._made: dict[int, type[BaseException]] = {}

    def number(self, kind: type[BaseException]) -> int | None:
        """The number of a class that was made here."""
        return next((number for number, known in self._made.items() if known is kind), None)

    def of(self, lineage: Any) -> type[BaseException]:
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
            if number not in self._made:
                parents = [self._made.get(b, Exception) if isinstance(b, int) else self.of(b) for b in bases]
                self._made[number] = self._make(str(name)[:MAX_NAME], tuple(dict.fromkeys(parents)))
            made = self._made[number]
        return made

    def _make(self, name: str, bases: tuple[type[BaseException], ...]) -> type[BaseException]:
        def missing(error: BaseException, asked: str) -> Any:
            return self._missing(self.number(type(error)), type(error).__name__, asked)

        members = {"__str__": _said, "__getattr__": missing}
        try:
            return type(name.replace("\0", ""), bases or (Exception,), members)
        except TypeError:  # bases that do not fit together
            return type(name.replace("\0", ""), bases[:1], members)

    def exception(self, described: Any) -> BaseException:
        lineage, text, arguments, fields, cause = described
        kind = self.of(lineage)
        arguments = arguments if isinstance(arguments, list) else [text]
        if issubclass(kind, ExceptionGroup):
            message, inner = arguments
            arguments = [str(message), [self.exception(one) for one in inner]]
        try:
            error = kind(*arguments)
        except TypeError:  # a class that wants other arguments than it keeps
            error = kind.__new__(kind, *arguments)
        if isinstance(fields, dict):
            error.__dict__.update({key: value for key, value in fields.items() if type(key) is str})
        if not isinstance(lineage, str):
            error.__dict__["_said"] = str(text)[:MAX_TEXT]
        if isinstance(cause, list) and len(cause) == 5:
            error.__cause__ = self.exception(cause)
        return error


def _said(error: BaseException) -> str:
    return str(error.__dict__.get("_said", ""))
