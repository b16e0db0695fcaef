"""Complete runs in a sandbox: a program judged by tests, a script with its input, a compilation, a binary.

Everything a run says comes back through memory the caller owns: a pipe for the verdict, anonymous files for output.
"""

import contextlib
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from ponder.sandbox.limits import Limits
from ponder.sandbox.sandbox import SETUP_FAILED, Ending, Sandbox, SandboxError

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
_LAST_MOMENT = 0.3
"""Seconds a program gets to end by itself after its tests have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the tests found. `total` is 0 when they did not begin; `done` says that they came to their end, `gone` that
    the program was not there to the end, `failed` why they could not be run at all."""

    total: int
    passed: int
    done: bool
    late: bool
    notes: tuple[str, ...] = ()
    gone: str = ""
    failed: str = ""
    program: Ending
    tests: Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a program printed and how it ended."""

    output: bytes
    errors: bytes
    ending: Ending


@dataclass(slots=True)
class _Tally:
    """The verdict lines, read one by one."""

    total: int = 0
    done: bool = False
    gone: str = ""
    failed: str = ""
    passed: set[int] = field(default_factory=set)
    wrong: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def add(self, what: int | str, value: object, note: str) -> None:
        if isinstance(what, int):
            (self.passed if value is True else self.wrong).add(what)
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


def judge(
    sandbox: Sandbox,
    program: str,
    tests: tuple[str, ...],
    *,
    form: str,
    prefix: str,
    entry: str | None,
    own: list[str],
    limits: Limits,
    deadline: float,
) -> Report:
    """Run `program` in one process and `tests` in another, until `deadline` (monotonic clock)."""
    secret = secrets.token_hex(16)
    job = {"secret": secret, "form": form, "tests": tests, "prefix": prefix, "entry": entry, "own": own}
    ours: bytearray = bytearray()
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(_descriptor(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)))
        errors = stack.enter_context(_memory())
        source = stack.enter_context(_memory((prefix + program).encode(errors="replace")))
        task = stack.enter_context(_memory(json.dumps(job).encode()))
        read, write = os.pipe2(os.O_CLOEXEC)
        stack.enter_context(_descriptor(read))
        with _descriptor(write):
            program_end, tests_end = socket.socketpair()
            with program_end, tests_end:
                running = sandbox.start("serve", [null, null, errors, source, program_end.fileno()], limits)
                judging = sandbox.start("judge", [null, null, errors, task, write, tests_end.fileno()], limits)
        tests_ending = sandbox.wait(judging, deadline, {read: ours})
        tally = _read_verdict(ours, secret)
        if not tally.gone:
            sandbox.kill(running)
        program_ending = sandbox.wait(running, time.monotonic() + _LAST_MOMENT)
        _check_setup(program_ending, errors)
        _check_setup(tests_ending, errors)
    return Report(
        total=tally.total,
        passed=len(tally.passed - tally.wrong),
        done=tally.done,
        late=tests_ending.late,
        notes=tuple(tally.notes),
        gone=tally.gone,
        failed=tally.failed,
        program=program_ending,
        tests=tests_ending,
    )


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


def _read_verdict(lines: bytearray, secret: str) -> _Tally:
    tally = _Tally()
    for line in lines.split(b"\n")[:-1]:
        said, what, value, note = json.loads(line)
        if secrets.compare_digest(said, secret):
            tally.add(what, value, note)
    return tally


def _check_setup(ending: Ending, errors: int) -> None:
    if ending.exit == SETUP_FAILED:
        raise SandboxError(os.pread(errors, 300, 0).decode(errors="replace").strip() or "a process could not be set up")


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
