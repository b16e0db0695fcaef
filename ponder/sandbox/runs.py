"""Complete runs in a sandbox: a program judged by tests, a script with its input, a compilation, a binary.

Everything a run says comes back through memory the caller owns: a pipe for the verdict, anonymous files for output.
"""

import contextlib
import json
import os
import re
import secrets
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ponder.sandbox import values
from ponder.sandbox.channel import Channel
from ponder.sandbox.checks import is_worldly
from ponder.sandbox.direct import DirectCase, read_direct, run_direct
from ponder.sandbox.limits import Limits
from ponder.sandbox.remote import (
    NotJudgeableError,
    NotPlainAnswerError,
    ProgramGoneError,
    RemoteProgram,
    TooLargeError,
    check_modules,
)
from ponder.sandbox.sandbox import SETUP_FAILED, Ending, Sandbox, SetupError

__all__ = [
    "OUTPUT_BYTES",
    "Printed",
    "Report",
    "compile_program",
    "judge",
    "judge_node",
    "run_binary",
    "run_node",
    "run_script",
]

OUTPUT_BYTES = 4 << 20
"""Most that a program may print where no more is expected of it."""
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
_MAX_LINE_BYTES, _MAX_VERDICT_BYTES = 1 << 16, 16 << 20
"""Most that the tests' process says of one case, and in all."""
_ERROR_BYTES = 1 << 20
"""Most of the complaints that is read back."""
_LAST_MOMENT = 0.3
"""Seconds a program gets to end by itself after its tests have ended."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a program printed and how it ended. `too_long` says that it printed more than it may, and `output` is a part
    of it."""

    output: bytes
    too_long: bool
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
    classes: dict[str, list[str]] | None,
    limits: Limits,
    deadline: float,
) -> Report:
    """Run `program`, put before it `prefix`, and try `tests` on it until `deadline` (monotonic clock).

    `entry` is the function under test and `own` are the names that a right program defines; only these may stand for
    a built-in in the tests. `classes` are those of them that are classes, with their methods, or None where that is not
    known.
    """
    job: dict[str, Any] = {
        "form": form,
        "tests": tests,
        "prefix": prefix,
        "entry": entry,
        "own": own,
        "classes": classes,
    }
    job["worldly"] = is_worldly(tests)
    source = (prefix + program).encode(errors="replace")
    cases = read_direct(tests, prefix, entry) if form == "asserts" else None
    if cases is not None:
        names = frozenset([*own, *filter(None, [entry])])
        report = _run_both(sandbox, source, limits, deadline, _Direct(cases=cases, own=names))
        if report is not None:
            return report
    report = _run_both(sandbox, source, limits, deadline, job)
    assert report is not None
    shared = form == "unittest" or _redefines(program, prefix, entry)
    if report.done and (report.doubt or (shared if report.passes else job["worldly"])):
        _look_again(report, sandbox, source, job, limits, deadline)
    return report


def _redefines(program: str, prefix: str, entry: str | None) -> bool:
    """Whether the program defines anew what its prefix defines: the tests use the prefix's, the program its own."""
    return any(name != entry and f"def {name}" in program for name in re.findall(r"^def (\w+)", prefix, re.MULTILINE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direct:
    """Plain asserts, to be tried from this process."""

    cases: tuple[DirectCase, ...]
    own: frozenset[str]


def _run_both(
    sandbox: Sandbox, source: bytes, limits: Limits, deadline: float, tests: _Direct | dict[str, Any]
) -> Report | None:
    """Run the program in one process and its tests from another; None where they turn out not to be direct."""
    report = Report()
    worldly = not isinstance(tests, _Direct) and tests["worldly"]
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(_null())
        printed = stack.enter_context(_memory()) if worldly else null
        errors = stack.enter_context(_memory())
        text = stack.enter_context(_memory(source))
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                role = "world" if worldly else "serve"
                running = sandbox.start(role, [null, printed, errors, text, theirs.fileno()], limits)
            if isinstance(tests, _Direct):
                direct = _judge_here(report, tests, ours.fileno(), deadline)
            else:
                direct = True
                _judge_apart(report, sandbox, "judge", tests, [ours.fileno()], limits, deadline)
            if not report.gone:
                sandbox.abandon(running)  # before it learns from the closed channel that its tests are done
        if report.gone:
            report.ending = sandbox.wait(running, min(deadline, time.monotonic() + _LAST_MOMENT))
            _check_setup(report.ending, errors)
    return report if direct else None


def _judge_here(report: Report, tests: _Direct, channel: int, deadline: float) -> bool:
    """Plain asserts, tried from this process; False where the program hands over what is not plain."""
    try:
        program = RemoteProgram(Channel(channel, deadline=deadline, max_bytes=_MAX_DIRECT_BYTES), plain_only=True)
        if program.failure:
            check_modules(program.failure)
            report.gone = f"the program failed: {program.failure}"
            return True
        report.total = len(tests.cases)
        for number, (passed, note) in enumerate(run_direct(tests.cases, tests.own, program)):
            report.add(number, passed, note)
        report.done, report.checks = True, len(tests.cases)
    except (NotPlainAnswerError, TooLargeError):
        return False
    except NotJudgeableError as error:
        report.failed = f"the tests cannot be run: {error}"
    except ProgramGoneError as error:
        report.late = time.monotonic() >= deadline
        report.gone = "" if report.late else f"the program ended before its tests were done ({error})"
    return True


def _judge_apart(
    report: Report,
    sandbox: Sandbox,
    role: str,
    job: dict[str, Any],
    more: list[int],
    limits: Limits,
    deadline: float,
) -> None:
    """Test code of any kind, run by a role in the sandbox; its verdict comes through a pipe."""
    secret = secrets.token_hex(16)
    with _null() as null, _memory(json.dumps({**job, "secret": secret}).encode()) as task, _memory() as errors:
        read, write = os.pipe2(os.O_CLOEXEC)
        with _descriptor(read):
            with _descriptor(write):
                first = [null, null, errors]
                order = [*first, *more, write, task] if role == "together" else [*first, task, write, *more]
                judging = sandbox.start(role, order, limits)
            report.late = not _listen(read, report, secret, deadline)
        if report.final or report.late:
            sandbox.abandon(judging)
        else:
            report.broke = sandbox.wait(judging, deadline)
            _check_setup(report.broke, errors)
            report.last_words = os.pread(errors, 300, 0).decode(errors="replace").strip()


def judge_node(sandbox: Sandbox, program: str, tests: str, *, entry: str, limits: Limits, deadline: float) -> Report:
    """Run a JavaScript `program` and, in another process, `tests` that call its function `entry`."""
    report = Report()
    with _null() as null, _memory() as errors, _memory(program.encode(errors="replace")) as text:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                running = sandbox.start("node program", [null, null, errors, text, theirs.fileno()], limits)
            job = {"tests": tests, "entry": entry}
            _judge_apart(report, sandbox, "node tests", job, [ours.fileno()], limits, deadline)
            if not report.gone:
                sandbox.abandon(running)
        if report.gone:
            report.ending = sandbox.wait(running, min(deadline, time.monotonic() + _LAST_MOMENT))
            _check_setup(report.ending, errors)
    return report


def _look_again(
    report: Report, sandbox: Sandbox, source: bytes, job: dict[str, Any], limits: Limits, deadline: float
) -> None:
    """Run the tests the plain way, in one process with the program. Its word, which the program could forge, is never
    enough for "right": it takes back a verdict that the plain way would not give."""
    plain = Report()
    with _memory(source) as text:
        _judge_apart(plain, sandbox, "together", job, [text], limits, deadline)
    if report.passes and not plain.passes:
        if plain.done and not plain.excuse:
            report.faults += 1
            report.notes += plain.notes[:1]
        else:
            report.unsure = report.unsure or f"{report.doubt}, and in one process the tests did not end"
    elif not report.passes and plain.passes:
        report.excuse = report.excuse or f"{report.doubt or 'the tests share more than values with the program'}"


def _listen(pipe: int, report: Report, secret: str, deadline: float) -> bool:
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


def run_script(
    sandbox: Sandbox, program: str, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a Python program with `entered` as its standard input; it may print `room` bytes."""
    with _memory(program.encode(errors="replace")) as source:
        return _run(sandbox, "main", source, entered, limits, deadline, room)


def run_node(
    sandbox: Sandbox, program: str, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a JavaScript program with `entered` as its standard input."""
    with _memory(program.encode(errors="replace")) as source:
        return _run(sandbox, "node", source, entered, limits, deadline, room)


def run_binary(
    sandbox: Sandbox, binary: int, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a compiled program, given as an open file."""
    return _run(sandbox, "binary", binary, entered, limits, deadline, room)


def compile_program(sandbox: Sandbox, source: str, binary: int, deadline: float) -> Printed:
    """Compile C++ into the open file `binary`."""
    with _memory(source.encode(errors="replace")) as text:
        return _run(sandbox, "compile", text, "", _COMPILER_LIMITS, deadline, OUTPUT_BYTES, binary)


def _run(
    sandbox: Sandbox, role: str, subject: int, entered: str, limits: Limits, deadline: float, room: int, *more: int
) -> Printed:
    limits = replace(limits, file_bytes=max(limits.file_bytes, 2 * room))
    with _memory(entered.encode(errors="replace")) as stdin, _memory() as stdout, _memory() as stderr:
        ending = sandbox.wait(sandbox.start(role, [stdin, stdout, stderr, subject, *more], limits), deadline)
        _check_setup(ending, stderr)
        return Printed(
            output=os.pread(stdout, room, 0),
            too_long=os.fstat(stdout).st_size > room,
            errors=os.pread(stderr, _ERROR_BYTES, 0),
            ending=ending,
        )


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
def _null() -> Iterator[int]:
    with _descriptor(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) as number:
        yield number


@contextlib.contextmanager
def _memory(content: bytes = b"") -> Iterator[int]:
    """An anonymous file in memory, read from its start."""
    with _descriptor(os.memfd_create("ponder", os.MFD_CLOEXEC)) as number:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(number, rest) :]
        os.lseek(number, 0, os.SEEK_SET)
        yield number
