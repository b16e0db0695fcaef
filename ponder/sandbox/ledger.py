"""The tests' own account of their run, written down line by line as it happens."""

import contextlib
import errno
import json
import os
import unittest
from collections.abc import Iterator
from typing import Self

from ponder.sandbox import processes
from ponder.sandbox.errors import NotJudgeableError, ProgramGoneError, SkippedError
from ponder.sandbox.program import Program, went_through_program

__all__ = ["VERDICT", "Case", "Ledger", "check_import", "guard"]

VERDICT = 4
"""Descriptor of the pipe that it is written to."""
_NOTE_CHARS = 300
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.ENOSYS, errno.EROFS)
"""What the sandbox says to tests that want more than it gives."""

_NO_FOLDER = "No usable temporary directory"
"""What `tempfile` makes of that where no file can be written."""


class Ledger:
    """Writes the verdict down."""

    def __init__(self, secret: str, program: Program | None = None) -> None:
        self._secret = secret
        self.program = program
        self._failed: set[int] = set()
        self._passed: set[int] = set()
        self.total = 0
        self.checks = 0
        self.chosen_checks = 0
        """Those of them that stand in a loop over what the program gave."""
        self.entered = 0
        """How often a function with checks was begun."""
        self.begun: set[str] = set()
        """Those of them that stand at the top of the test file."""
        self.undefined: frozenset[str] = frozenset()
        """Names that the tests speak of, and neither they nor a right program define."""
        self.swallowed: list[str] = []
        """Failures that test code caught and did not pass on, in the case that runs."""

    def write(self, what: int | str, value: object, note: str = "") -> None:
        line = json.dumps([self._secret, what, value, note[:_NOTE_CHARS]]).encode() + b"\n"
        while line:
            line = line[os.write(VERDICT, line) :]

    def expect(self, more: int) -> None:
        self.total += more
        self.write("total", self.total)

    def record(self, case: int, passed: bool, note: str = "") -> None:
        """A case that ran; one that runs several times passes if it passes each time."""
        self._take_swallowed()
        if passed and self.swallowed:
            passed, note = False, self.swallowed[0]
        self.swallowed.clear()
        if not passed and self.program is not None and self.program.strange:
            self.write("doubt", True, self.program.strange)  # the tests may not come to their end
        if not passed:
            self._excuse_refused()
        known = self._passed if passed else self._failed
        if case not in known:
            known.add(case)
            self.write(case, passed, note)

    def has(self, case: int) -> bool:
        """Whether the case was written down."""
        return case in self._passed or case in self._failed

    def _take_swallowed(self) -> None:
        if self.program is not None:
            self.swallowed += [f"the program swallowed a failed check: {error}" for error in self.program.swallowed]
            self.program.swallowed.clear()

    def fault(self, error: BaseException) -> None:
        """Something raised outside of every case: the file would have broken off there."""
        if self.is_end(error):
            return
        self.doubt_refusal(error)
        self._excuse_refused()
        self.write("fault", True, f"{type(error).__name__}: {error}")

    def _excuse_refused(self) -> None:
        what = processes.refused() or ("" if self.program is None else self.program.refused)
        if what:
            self.write("excuse", True, what)

    def is_end(self, error: BaseException | None) -> bool:
        """Whether the tests, not the program, ended the run as one that went well."""
        ended = isinstance(error, SystemExit) and error.code in (None, 0)
        if error is None or not ended or went_through_program(error):
            return False
        return self.program is None or error is not self.program.raised

    def doubt_refusal(self, error: BaseException | None) -> None:
        """A refusal of the sandbox to the tests themselves says nothing about the program, and what is neither a failed
        check nor raised by the program may come of the values that stand for its objects here."""
        if error is None or self.program is None or error is self.program.raised:
            return
        if not isinstance(error, AssertionError):
            self.program.strange = self.program.strange or f"the tests raised {type(error).__name__}"
        if isinstance(error, NameError) and error.name in self.undefined:
            self.write("excuse", True, f"the tests speak of {error.name!r}, which nothing defines")
        if isinstance(error, OSError) and (error.errno in _REFUSED or _NO_FOLDER in str(error)):
            self.write("excuse", True, f"the tests want what the sandbox refuses: {error}")

    def close(self, program: Program) -> None:
        self._take_swallowed()
        if self.swallowed:
            self.write("fault", True, self.swallowed[0])
        if program.strange:
            self.write("doubt", True, program.strange)
        if program.unsure:
            self.write("unsure", True, program.unsure)
        self.write("done", self.checks)


class Case:
    """Context in which one case runs: whatever it raises fails this case only."""

    def __init__(self, ledger: Ledger, number: int, text: str) -> None:
        self._ledger, self._number, self._text = ledger, number, text
        self._checks = ledger.checks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, ProgramGoneError | NotJudgeableError | KeyboardInterrupt):
            return False
        if isinstance(error, SkippedError | unittest.SkipTest):
            return False
        if self._ledger.is_end(error):
            error = None
        self._ledger.doubt_refusal(error)
        note = "" if error is None else f"{self._text} -> {type(error).__name__}: {error}".rstrip(": ")
        if error is None and self._ledger.checks == self._checks and not self._ledger.swallowed:
            self._ledger.write("unsure", True, f"{self._text} checked nothing")
        self._ledger.record(self._number, error is None, note)
        return True


def check_import(error: BaseException, program: Program) -> None:
    """A module that the tests, not the program, cannot import says nothing about the program."""
    if isinstance(error, ModuleNotFoundError) and error is not program.raised:
        raise NotJudgeableError(f"{error}; only the standard library is there")


@contextlib.contextmanager
def guard(ledger: Ledger, program: Program) -> Iterator[None]:
    """Where test code runs outside of a case: whatever it raises makes the verdict wrong."""
    try:
        yield
    except (SkippedError, unittest.SkipTest) as error:
        raise NotJudgeableError(f"they skip themselves: {error}") from None
    except (Exception, SystemExit) as error:
        check_import(error, program)
        ledger.fault(error)
