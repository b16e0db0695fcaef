"""`ponder` as a process of its own that begins at once, for tests that read what it says or kill it.

To load torch and transformers takes longer than most of what is tested. One process per worker of pytest loads them
(`tests/command_server.py`), and each command is a fork of it: a process with an id, a session, an environment and a
death of its own. What it shares with the others is the seed of `hash`; where that matters, and where the beginning
itself is tested, start `python -m ponder.cli` as users do.
"""

import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

__all__ = ["Command", "run", "start"]

REPOSITORY = Path(__file__).parents[1]


@functools.cache
def _server() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.command_server", str(theirs.fileno())]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # read once, when torch is loaded
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=REPOSITORY, env=environment)
    theirs.close()
    return ours, process


class Command:
    """A command that was started, in the words of `subprocess.Popen`."""

    def __init__(
        self,
        words: tuple[object, ...],
        *,
        program: str | None = None,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        given: str | None = None,
        streams: tuple[int, int, int] | None = None,
        session: bool = False,
    ) -> None:
        self.returncode: int | None = None
        self._files: list[IO[str]] = []
        if streams is None:  # files, which no command has to wait for when they are full
            self._files = [tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(3)]  # noqa: SIM115
            self._files[0].write(given or "")
            self._files[0].seek(0)
            streams = (self._files[0].fileno(), self._files[1].fileno(), self._files[2].fileno())
        self._answers, theirs = os.pipe()
        request = {
            "words": list(map(str, words)),
            "program": program,
            "folder": str(folder or Path.cwd()),
            "environment": {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(environment or {})},
            "session": session,
        }
        socket.send_fds(_server()[0], [json.dumps(request).encode()], [*streams, theirs])
        os.close(theirs)
        self.pid = int(self._line())

    def _line(self) -> str:
        found = b""
        while not found.endswith(b"\n"):
            more = os.read(self._answers, 1)
            assert more, "the process that starts commands has ended"
            found += more
        return found.decode()

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], 0)[0]:
            self.returncode = int(self._line())
            os.close(self._answers)
        return self.returncode

    def wait(self, timeout: float = 280) -> int:
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("ponder", timeout)
            self.poll()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 280) -> tuple[str, str]:
        """What stands on its output and as its errors, once it has ended."""
        self.wait(timeout)
        said = []
        for file in self._files[1:]:
            file.seek(0)
            said.append(file.read())
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """The end of a whole session at once, and of what is in it."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def start(
    *words: object,
    program: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    streams: tuple[int, int, int] | None = None,
    session: bool = False,
) -> Command:
    """Begin `ponder` with these words, or a program of Python with these arguments: in a folder, with additions to the
    environment. `streams` are the descriptors of its input, output and errors; a session is one of its own."""
    return Command(words, program=program, folder=folder, environment=environment, streams=streams, session=session)


def run(
    *words: object,
    program: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    """`ponder` with these words to its end; `given` is what stands on its input."""
    command = Command(words, program=program, folder=folder, environment=environment, given=given)
    said, errors = command.communicate()
    assert command.returncode is not None
    return subprocess.CompletedProcess(words, command.returncode, said, errors)
