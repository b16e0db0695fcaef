"""What instrumented test code calls while it runs: its checks are counted, what it lets pass is noted.

`test_module` makes the module that test code runs in, with the probes that `instrument` speaks of.
"""

import builtins
import sys
import types
import unittest
from collections.abc import Iterator
from typing import Any, Literal

from ponder.sandbox import instrument
from ponder.sandbox.errors import SkippedError
from ponder.sandbox.ledger import Ledger
from ponder.sandbox.program import LocalProgram, Program, Solution, is_of_program, went_through_program
from ponder.sandbox.proxy import Remote
from ponder.sandbox.stand_ins import STAND_INS

__all__ = ["test_module"]


class _Block:
    """The innermost context of a block with checks: it sees whether the block came to its end."""

    finished = False
    error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.error = error
        self.finished = kind is None or issubclass(kind, SkippedError | unittest.SkipTest)

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)


def test_module(program: Program, ledger: Ledger, bound: set[str]) -> dict[str, Any]:
    """A fresh `__main__` for the test code, with what its instruments and its libraries need."""
    loops = 0

    def seen(value: Any) -> Any:
        if value is NotImplemented:  # what `x.__eq__(y)` says of what it does not know is no truth
            raise TypeError("NotImplemented is neither true nor false")
        value = bool(value)
        counted()
        return value

    def read(value: Any, computed: bool = False) -> Any:
        if program.emptied and id(value) in program.emptied:
            program.unsure = program.unsure or "the program emptied what the tests read from it"
        if computed and program.changed and id(value) in program.changed:
            program.unsure = program.unsure or "the program changed what the tests compute with"
        return value

    def matched(value: Any) -> Any:
        counted()
        return value

    def counted() -> None:
        if program.used and not program.calling_back:  # a check that the program may as well not have called is none
            ledger.checks += 1
            ledger.chosen_checks += loops > 0

    def of_program(source: str) -> Literal["data", "result"] | None:
        """What of the program the test code speaks of, if anything."""
        owner, _, member = source.partition(".")
        if isinstance(program, LocalProgram) or owner in builtins.__dict__:
            return None
        whole = isinstance(space.get(owner), Solution)
        name = member if whole else owner
        if name in program.names and (whole or name not in bound):
            return "result" if isinstance(program.look(name), Remote) else "data"
        return "result" if whole or owner == "candidate" else None

    def chosen(items: Any, source: str) -> Any:
        kind = of_program(source)
        if kind == "data":
            program.unsure = program.unsure or f"what is checked depends on the program's {source!r}"
        return items if kind is None else looped(items)

    def looped(items: Any) -> Iterator[Any]:
        nonlocal loops
        loops += 1
        try:
            yield from items
        finally:
            loops -= 1

    def parameters(values: Any, source: str) -> Any:
        if of_program(source) is not None:
            program.unsure = program.unsure or f"what is checked depends on the program's {source!r}"
        return values

    def skips(condition: Any, wanted: bool, *sources: str) -> Any:
        if bool(condition) is wanted and any(map(of_program, sources)):
            program.unsure = program.unsure or f"what is skipped depends on the program's {', '.join(sources)}"
        return condition

    def zipped(*columns: Any) -> Iterator[tuple[Any, ...]]:
        """As `zip`, but where a list ends before another something remains unchecked."""
        rows = 0
        for row in zip(*columns, strict=False):
            yield row
            rows += 1
        if any(isinstance(column, list | tuple | dict) and len(column) > rows for column in columns):
            program.unsure = program.unsure or "a list ended before the one it was compared with"

    def number(value: Any) -> Any:
        if type(value) is float and value != value:
            program.unsure = program.unsure or "what is not a number was put in order"
        return value

    def left(block: _Block) -> None:
        if block.finished:
            return
        if (
            isinstance(block.error, AssertionError)
            and block.error is not program.raised
            and not is_of_program(block.error)
        ):
            ledger.swallowed.append(f"a failed check was swallowed: {block.error}")
        else:
            program.unsure = program.unsure or "a block with checks broke off, and its context manager swallowed why"

    def expected(block: _Block) -> None:
        """After a block that must raise: what the tests misspell is nothing that the program raised."""
        error = block.error
        if isinstance(error, NameError) and error is not program.raised and not went_through_program(error):
            program.unsure = program.unsure or f"the tests raised {error!r} themselves"
        counted()

    def swallowed(checks_something: bool) -> None:
        """In an `except` that goes on after a check: a failed check, or a program that raised where it should not."""
        error = sys.exception()
        if checks_something or (isinstance(error, AssertionError) and error is not program.raised):
            ledger.swallowed.append(f"a failure was caught by the tests: {type(error).__name__}: {error}")
        else:
            counted()

    def entered(name: str) -> None:
        ledger.entered += 1
        ledger.begun.add(name)

    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = "/tmp/tests.py"
    sys.modules["__main__"] = module
    sys.modules.update(STAND_INS)
    unittest.main = lambda *_, **__: None  # type: ignore[assignment]  # they are collected and run below
    space: dict[str, Any] = module.__dict__
    space |= {
        instrument.SEEN: seen,
        instrument.ASSERTED: seen,
        instrument.COUNTED: counted,
        instrument.MATCHED: matched,
        instrument.READ: read,
        instrument.NUMBER: number,
        instrument.CHOSEN: chosen,
        instrument.PARAMETERS: parameters,
        instrument.SKIPS: skips,
        instrument.ZIP: zipped,
        instrument.WITHIN: _Block,
        instrument.LEFT: left,
        instrument.EXPECTED: expected,
        instrument.ENTERED: entered,
        instrument.SWALLOWED: swallowed,
        instrument.TYPE: lambda value: value.own_class() if type(value) is Remote else type(value),
    }
    return space
