"""The parent's end of one verifier worker: its process, its socket and the jobs it has been handed.

First goes the user's own code, then jobs, all as pickles (the parent is trusted); verdicts and values come back as JSON
(the worker has read hostile text, so nothing it sends may do more than be one). A frame is a 4-byte length and its
payload. Reads and writes never block.
"""

import contextlib
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from ponder.own import OwnCode
from ponder.recipe.own import OwnRole
from ponder.records import Gold
from ponder.sandbox.isolation import Least

__all__ = ["Job", "OwnCall", "ProgramRun", "Question", "WorkerLink"]

_LENGTH = struct.Struct("<I")
_READ_BYTES = 1 << 16
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCall:
    """One call of a function of the user's own; `seconds` None leaves it the pool's deadline."""

    role: OwnRole
    function: str
    arguments: tuple[Any, ...]
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRun:
    """One run of a Python program in the sandbox, whose output is asked for."""

    program: str
    seconds: float

    function: ClassVar[str] = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something else that is asked of the verifiers' own code: whether answers are the same, what a text claims."""

    function: Literal["same", "claims"]
    arguments: tuple[Any, ...]

    seconds: ClassVar[None] = None


@dataclass(slots=True, kw_only=True)
class Job:
    """An answer with its gold, a call, a program, or a question; the future that its verdict or `Called` goes to; the
    key it is cached under."""

    work: tuple[str, Gold] | OwnCall | ProgramRun | Question
    future: Future[Any]
    key: bytes | None = None


class WorkerLink:
    """A running worker. `started` is when the job at the head of `jobs` began, by the parent's monotonic clock; `core`
    is where it has programs run, a core of its own as long as there are enough; `isolation` the least they must get."""

    def __init__(
        self, *, deadline_seconds: float, memory_bytes: int, core: int, isolation: Least, own: OwnCode
    ) -> None:
        self.jobs: deque[Job] = deque()
        self.started = time.monotonic()
        self.core = core
        self.ready = False
        self.retiring = False
        self.handed = 0
        self._incoming = bytearray()
        self._outgoing = bytearray(_frame(own))
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the worker
        arguments = [str(deadline_seconds), str(memory_bytes), str(core), isolation]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ponder.verify.worker", *arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=_environment(),
                start_new_session=True,
            )

    def hand(self, job: Job) -> None:
        """Queue a job for the worker; `flush` sends it."""
        if not self.jobs:
            self.started = time.monotonic()
        self.jobs.append(job)
        self.handed += 1
        self._outgoing += _frame(job.work)

    def flush(self) -> bool:
        """Send what the socket takes now; True while something is left to send. OSError when the worker is gone."""
        while self._outgoing:
            try:
                sent = self.socket.send(self._outgoing)
            except BlockingIOError:
                return True
            del self._outgoing[:sent]
        return False

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages that have arrived, or None when the worker is gone."""
        try:
            while chunk := self.socket.recv(_READ_BYTES):
                self._incoming += chunk
            closed = True
        except BlockingIOError:
            closed = False
        except OSError:
            closed = True
        messages: list[dict[str, Any]] = []
        while len(self._incoming) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._incoming)[0]
            if len(self._incoming) < end:
                break
            messages.append(json.loads(bytes(self._incoming[_LENGTH.size : end])))
            del self._incoming[:end]
        return None if closed and not messages else messages

    def kill(self) -> None:
        """End the worker and what it has started in its session, and reap it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.socket.close()

    def last_words(self) -> str:
        """The end of what the worker wrote to its standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2000))
        return self._errors.read().decode(errors="replace").strip()


def _frame(value: object) -> bytes:
    payload = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(payload)) + payload


def _environment() -> dict[str, str]:
    """The parent's environment, with single-threaded numerics and this very copy of ponder first on the path."""
    paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}
