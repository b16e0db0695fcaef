"""Test classes and test functions, run as unittest and pytest would, every outcome written down as it comes."""

import random
import sys
import types
import unittest
from collections.abc import Iterator
from typing import Any

from ponder.sandbox.collect import collect
from ponder.sandbox.errors import NotJudgeableError, ProgramGoneError
from ponder.sandbox.ledger import Ledger, check_import, guard
from ponder.sandbox.program import Program, went_through_program

__all__ = ["run_collected"]


class _Result(unittest.TestResult):
    """Writes every outcome down as it comes."""

    def __init__(self, ledger: Ledger, numbers: dict[unittest.TestCase, int]) -> None:
        super().__init__()
        self._ledger, self._numbers = ledger, numbers
        self._before = (0, 0, 0, 0)

    def _used(self) -> int:
        return 0 if self._ledger.program is None else self._ledger.program.used

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._before = (self._ledger.checks, self._used(), self._ledger.entered, self._ledger.chosen_checks)

    def stopTest(self, test: unittest.TestCase) -> None:
        """A test of which a part was skipped has no outcome of its own."""
        super().stopTest(test)
        if test in self._numbers and not self._ledger.has(self._numbers[test]):
            self._ledger.record(self._numbers[test], True)

    def _record(self, test: unittest.TestCase, passed: bool, error: Any = None) -> None:
        note = "" if error is None else f"{test.id()} -> {error[0].__name__}: {error[1]}"
        if error is not None:
            if issubclass(error[0], ProgramGoneError | NotJudgeableError):
                raise error[1]
            if self._ledger.program is not None:
                check_import(error[1], self._ledger.program)
            self._ledger.doubt_refusal(error[1])
        if test in self._numbers:
            self._ledger.record(self._numbers[test], passed, note)
        else:  # the failure of a whole class, whose tests then do not run
            self._ledger.write("fault", True, note)

    def addSuccess(self, test: unittest.TestCase) -> None:
        if self._ledger.checks == self._before[0] and self._ledger.entered != self._before[2]:
            self._ledger.write("unsure", True, f"{test.id()} came to none of its checks")
        made = self._ledger.checks - self._before[0]
        if made and made == self._ledger.chosen_checks - self._before[3]:
            self._ledger.write("unsure", True, f"{test.id()}: how many checks are made is the program's choice")
        self._record(test, True)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._record(test, False, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """A test that is skipped whatever the program does is no test; one that looked first says nothing."""
        error = sys.exception()
        if error is not None and went_through_program(error):
            self._record(test, False, (type(error), error))
            return
        if self._used() != self._before[1]:
            self._ledger.write("unsure", True, f"{test.id()} skipped itself on what the program did: {reason}")
        if test in self._numbers:
            self._ledger.record(self._numbers[test], True)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, True)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._record(test, False)


def run_collected(
    space: dict[str, Any], ledger: Ledger, program: Program, done: set[str], candidate: Any, first: int
) -> None:
    """Test classes and test functions, as unittest and pytest would run them."""
    module = sys.modules["__main__"]
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite.addTests(collect(space, set(done), candidate))
    for kind in {type(test) for test in _flat(suite)}:
        _check_fixtures(kind)
    numbers = {test: first + place for place, test in enumerate(_flat(suite))}
    if not numbers:
        return
    ledger.expect(len(numbers))
    random.seed(0)
    with guard(ledger, program):
        _call(space.get("setup_module"), module)
        suite.run(_Result(ledger, numbers))
        _call(space.get("teardown_module"), module)


def _check_fixtures(kind: type) -> None:
    """Test cases of unittest have no fixtures here."""
    for name, value in [(name, value) for base in kind.__mro__ for name, value in vars(base).items()]:
        if isinstance(value, types.FunctionType) and "_fixture" in vars(value):
            raise NotJudgeableError(f"they have the fixture {name!r} in a test case of unittest")
        if name == "_marks" and any(mark.name == "usefixtures" for mark in value):
            raise NotJudgeableError(f"the test case {kind.__name__!r} of unittest uses fixtures")


def _call(function: Any, module: types.ModuleType) -> None:
    """What pytest runs before and after the tests of a file, with the module if it wants it."""
    if isinstance(function, types.FunctionType):
        function(*[module][: function.__code__.co_argcount])


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test
