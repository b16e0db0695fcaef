"""Complete runs in a sandbox: a program judged by tests, a script with its input, a compilation, a binary.

Everything a run says comes back through memory the caller owns: a pipe for the verdict, anonymous files for output.
"""

import contextlib
import json
import os
import secrets
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ponder.sandbox.channel import Channel
from ponder.sandbox.direct import DirectCase, read_direct, run_direct
from ponder.sandbox.limits import Limits
from ponder.sandbox.remote import ProgramGoneError, RemoteProgram
from ponder.sandbox.sandbox import SETUP_FAILED, Ending, Sandbox, SetupError

__all__ = ["Printed", "Report", "compile_program", "judge", "run_binary", "run_script"]

_KEPT_BYTES = 4 << 20
"""Most of the output that is read back."""
_COMPILER_LIMITS = Limits(
    cpu_seconds=10,
    memory_bytes=2 << 30,
    tasks=16,
    processes=True,
    open_files=256,
    file_bytes=64 << 20,
    tmp_bytes=128 << 20,
)
_MAX_DIRECT_BYTES = 1 << 20
"""Longest message taken from a program whose asserts are tried in this process."""
_LAST_MOMENT = 0.3
"""Seconds a program gets to end by itself after its tests have ended."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What the tests found.

    `total` is 0 when they did not begin. `done` says that they came to their end, `late` that their time was over
    first; `gone` is why the program was not there to the end, and `ending` then how it ended; `failed` is why the
    tests cannot be run at all, and `broke` how their process ended when it gave no verdict.
    """

    total: int = 0
    done: bool = False
    late: bool = False
    gone: str = ""
    failed: str = ""
    right: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    ending: Ending | None = None
    broke: Ending | None = None

    @property
    def passed(self) -> int:
        """The number of cases that passed whenever they ran."""
        return len(self.right - self.wrong)

    @property
    def final(self) -> bool:
        """Whether nothing more will be said."""
        return self.done or bool(self.gone or self.failed)

    def add(self, what: int | str, value: object, note: str) -> None:
        """Take down one line of the verdict."""
        if isinstance(what, int):
            (self.right if value is True else self.wrong).add(what)
        elif what == "total" and isinstance(value, int):
            self.total = value
        elif what == "done":
            self.done = True
        elif what == "gone":
            self.gone = note
        elif what == "failed":
            self.failed = note
        if note and what not in ("gone", "failed"):
            self.notes.append(note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a program printed and how it ended."""

    output: bytes
    errors: bytes
    ending: Ending


def judge(
    sandbox: Sandbox,
    program: str,
    tests: tuple[str, ...],
    *,
    form: str,
    prefix: str,
    entry: str | None,
    own: list[str],
    classes: list[str] | None,
    limits: Limits,
    deadline: float,
) -> Report:
    """Run `program`, put before it `prefix`, and try `tests` on it until `deadline` (monotonic clock).

    `entry` is the function under test and `own` are the names that a right program defines; only these may stand for
    a built-in in the tests. `classes` are those of them that are classes, or None where that is not known.
    """
    cases = read_direct(tests, prefix, entry) if form == "asserts" else None
    report = Report()
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(_descriptor(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)))
        errors = stack.enter_context(_memory())
        source = stack.enter_context(_memory((prefix + program).encode(errors="replace")))
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                running = sandbox.start("serve", [null, null, errors, source, theirs.fileno()], limits)
            if cases is not None:
                known = None if classes is None else frozenset(classes)
                names = frozenset([*own, *filter(None, [entry])])
                _judge_here(report, cases, names, known, ours.fileno(), deadline)
            else:
                job = {"form": form, "tests": tests, "prefix": prefix, "entry": entry, "own": own, "classes": classes}
                _judge_apart(report, sandbox, job, ours.fileno(), null, limits, deadline)
            if not report.gone:
                sandbox.abandon(running)  # before it learns from the closed channel that its tests are done
        if report.gone:
            report.ending = sandbox.wait(running, min(deadline, time.monotonic() + _LAST_MOMENT))
            _check_setup(report.ending, errors)
    return report


def _judge_here(
    report: Report,
    cases: tuple[DirectCase, ...],
    own: frozenset[str],
    classes: frozenset[str] | None,
    channel: int,
    deadline: float,
) -> None:
    """Plain asserts, tried from this process."""
    try:
        program = RemoteProgram(Channel(channel, deadline=deadline, max_bytes=_MAX_DIRECT_BYTES), classes)
        if program.failure:
            report.gone = f"the program failed: {program.failure}"
            return
        report.total = len(cases)
        for number, (passed, note) in enumerate(run_direct(cases, own, program)):
            report.add(number, passed, note)
        report.done = True
    except ProgramGoneError as error:
        report.late = time.monotonic() >= deadline
        report.gone = "" if report.late else f"the program ended before its tests were done ({error})"


def _judge_apart(
    report: Report, sandbox: Sandbox, job: dict[str, Any], channel: int, null: int, limits: Limits, deadline: float
) -> None:
    """Test code of any kind, run by the judge role; its verdict comes through a pipe."""
    secret = secrets.token_hex(16)
    with _memory(json.dumps({**job, "secret": secret}).encode()) as task, _memory() as errors:
        read, write = os.pipe2(os.O_CLOEXEC)
        with _descriptor(read):
            with _descriptor(write):
                judging = sandbox.start("judge", [null, null, errors, task, write, channel], limits)
            report.late = not _listen(read, report, secret, deadline)
        if report.final or report.late:
            sandbox.abandon(judging)
        else:
            report.broke = sandbox.wait(judging, deadline)
            _check_setup(report.broke, errors)


def _listen(pipe: int, report: Report, secret: str, deadline: float) -> bool:
    """Take down the verdict until it is final or its writer is gone; False when the deadline came first."""
    os.set_blocking(pipe, False)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    pending = b""
    while not report.final:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return False
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            said, what, value, note = json.loads(line)
            if secrets.compare_digest(said, secret):
                report.add(what, value, note)
    return True


def run_script(sandbox: Sandbox, program: str, entered: str, limits: Limits, deadline: float) -> Printed:
    """Run a Python program with `entered` as its standard input."""
    with _memory(program.encode(errors="replace")) as source:
        return _run(sandbox, "main", source, entered, limits, deadline)


def run_binary(sandbox: Sandbox, binary: int, entered: str, limits: Limits, deadline: float) -> Printed:
    """Run a compiled program, given as an open file."""
    return _run(sandbox, "binary", binary, entered, limits, deadline)


def compile_program(sandbox: Sandbox, source: str, binary: int, deadline: float) -> Printed:
    """Compile C++ into the open file `binary`."""
    with _memory(source.encode(errors="replace")) as text:
        return _run(sandbox, "compile", text, "", _COMPILER_LIMITS, deadline, binary)


def _run(
    sandbox: Sandbox, role: str, subject: int, entered: str, limits: Limits, deadline: float, *more: int
) -> Printed:
    with _memory(entered.encode(errors="replace")) as stdin, _memory() as stdout, _memory() as stderr:
        ending = sandbox.wait(sandbox.start(role, [stdin, stdout, stderr, subject, *more], limits), deadline)
        _check_setup(ending, stderr)
        return Printed(output=os.pread(stdout, _KEPT_BYTES, 0), errors=os.pread(stderr, _KEPT_BYTES, 0), ending=ending)


def _check_setup(ending: Ending, errors: int) -> None:
    if ending.exit == SETUP_FAILED:
        raise SetupError(os.pread(errors, 300, 0).decode(errors="replace").strip() or "a process could not be set up")


@contextlib.contextmanager
def _descriptor(number: int) -> Iterator[int]:
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def _memory(content: bytes = b"") -> Iterator[int]:
    """An anonymous file in memory, read from its start."""
    with _descriptor(os.memfd_create("ponder", os.MFD_CLOEXEC)) as number:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(number, rest) :]
        os.lseek(number, 0, os.SEEK_SET)
        yield number
