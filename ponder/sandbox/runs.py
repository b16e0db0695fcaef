"""Complete runs in a sandbox that end in output: a script with its input, a compilation, a binary."""

import os
from dataclasses import dataclass, replace

from ponder.sandbox.descriptors import memory_file
from ponder.sandbox.limits import Limits
from ponder.sandbox.processes import SCRIPT_NOTE
from ponder.sandbox.sandbox import Ending, Sandbox, check_setup

__all__ = ["OUTPUT_BYTES", "Printed", "compile_program", "run_binary", "run_node", "run_script"]

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


"""Most that the tests' process says of one case, and in all."""
_ERROR_BYTES = 1 << 20
"""Most of the complaints that is read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a program printed and how it ended. `too_long` says that it printed more than it may, and `output` is a part
    of it; `refused` that it wanted what the sandbox refuses, by its own word."""

    output: bytes
    too_long: bool
    refused: bool
    errors: bytes
    ending: Ending


def run_script(
    sandbox: Sandbox, program: str, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a Python program with `entered` as its standard input; it may print `room` bytes."""
    with memory_file(program.encode(errors="replace")) as source:
        return _run(sandbox, "main", source, entered, limits, deadline, room)


def run_node(
    sandbox: Sandbox, program: str, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a JavaScript program with `entered` as its standard input."""
    with memory_file(program.encode(errors="replace")) as source:
        return _run(sandbox, "node", source, entered, limits, deadline, room)


def run_binary(
    sandbox: Sandbox, binary: int, entered: str, limits: Limits, deadline: float, room: int = OUTPUT_BYTES
) -> Printed:
    """Run a compiled program, given as an open file."""
    return _run(sandbox, "binary", binary, entered, limits, deadline, room)


def compile_program(sandbox: Sandbox, source: str, binary: int, deadline: float) -> Printed:
    """Compile C++ into the open file `binary`."""
    with memory_file(source.encode(errors="replace")) as text:
        return _run(sandbox, "compile", text, "", _COMPILER_LIMITS, deadline, OUTPUT_BYTES, binary)


def _run(
    sandbox: Sandbox, role: str, subject: int, entered: str, limits: Limits, deadline: float, room: int, *more: int
) -> Printed:
    limits = replace(limits, file_bytes=max(limits.file_bytes, 2 * room))
    with memory_file(entered.encode(errors="replace")) as stdin, memory_file() as stdout, memory_file() as stderr:
        ending = sandbox.wait(sandbox.start(role, [stdin, stdout, stderr, subject, *more], limits), deadline)
        check_setup(ending, stderr)
        said = os.fstat(stderr).st_size
        refused = os.pread(stderr, len(SCRIPT_NOTE), max(0, said - len(SCRIPT_NOTE))) == SCRIPT_NOTE
        return Printed(
            output=os.pread(stdout, room, 0),
            too_long=os.fstat(stdout).st_size > room,
            refused=refused,
            errors=os.pread(stderr, min(_ERROR_BYTES, said - len(SCRIPT_NOTE) * refused), 0),
            ending=ending,
        )
