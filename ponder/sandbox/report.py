"""What the tests found, line by line as their process writes it down."""

import json
import os
import secrets
import select
import time
from dataclasses import dataclass, field

from ponder.sandbox import values
from ponder.sandbox.sandbox import Ending

__all__ = ["Report", "listen"]

_MAX_LINE_BYTES, _MAX_VERDICT_BYTES = 1 << 16, 16 << 20
"""Most that the tests' process says of one case, and in all."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What the tests found.

    `total` is 0 when they did not begin. `done` says that they came to their end, `late` that their time was over
    first; `gone` is why the program was not there to the end, and `ending` then how it ended; `failed` is why the
    tests cannot be run at all, and `broke` how their process ended when it gave no verdict. `checks` counts the checks
    made, `faults` what raised outside of every case. `unsure` is why a right verdict must not be believed, `excuse` why
    a wrong one must not; `doubt` that something happened which asks for a second look.
    """

    total: int = 0
    checks: int = 0
    faults: int = 0
    done: bool = False
    late: bool = False
    gone: str = ""
    failed: str = ""
    unsure: str = ""
    excuse: str = ""
    doubt: str = ""
    right: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    ending: Ending | None = None
    broke: Ending | None = None
    last_words: str = ""

    @property
    def passed(self) -> int:
        """The number of cases that passed whenever they ran."""
        return len(self.right - self.wrong)

    @property
    def passes(self) -> bool:
        """Whether every case passed and nothing raised anywhere."""
        return self.done and self.passed == self.total and not self.faults

    @property
    def final(self) -> bool:
        """Whether nothing more will be said."""
        return self.done or bool(self.gone or self.failed)

    def add(self, what: int | str, value: object, note: str) -> None:
        """Take down one line of the verdict."""
        note = values.short(note)
        match what:
            case int():
                (self.right if value is True else self.wrong).add(what)
            case "total" | "done" if isinstance(value, int):
                if what == "total":
                    self.total = value
                else:
                    self.done, self.checks = True, value
            case "fault":
                self.faults += 1
            case "doubt":
                self.doubt = note
            case "unsure":
                self.unsure = self.unsure or note
            case "excuse":
                self.excuse = self.excuse or note
            case "gone":
                self.gone = note
            case "failed":
                self.failed = note
        if note and (isinstance(what, int) or what == "fault"):
            self.notes.append(note)


def listen(pipe: int, report: Report, secret: str, deadline: float) -> bool:
    """Take down the verdict until it is final or its writer is gone; False when the deadline came first. What is not a
    line of the verdict, or too much, comes from a program that found the pipe."""
    os.set_blocking(pipe, False)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    pending, taken = b"", 0
    while not report.final and len(pending) < _MAX_LINE_BYTES and taken < _MAX_VERDICT_BYTES:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            break
        taken += len(chunk)
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            match _parsed(line):
                case [str(said), int(what) | str(what), value, str(note)] if secrets.compare_digest(
                    said.encode(errors="replace"), secret.encode()
                ):
                    report.add(what, value, note)
    return True


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
