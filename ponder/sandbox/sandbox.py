"""The caller's side: start a zygote, have it run programs, learn how they ended.

A Sandbox runs for one thread. Everything a program prints or returns is read from descriptors the caller made.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ponder.sandbox.kernel import current_core
from ponder.sandbox.limits import Limits

__all__ = ["Ending", "Sandbox", "SandboxError", "SetupError", "check_setup", "zygote_command"]

SETUP_FAILED = 117
_START_SECONDS = 30.0
_REAP_SECONDS = 10.0
_MESSAGE_BYTES = 4096
_AHEAD = 4
"""Clones that are made at a time."""
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "MALLOC_ARENA_MAX": "1",  # else each thread reserves memory of its own, which counts against the limit
}
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_BOOT = (
    "import sys; sys.path.insert(0, {root!r}); from ponder.sandbox.zygote import main; sys.path.pop(0); main({mode!r})"
)


class SandboxError(RuntimeError):
    """The sandbox itself failed; nothing is known about the program."""


class SetupError(SandboxError):
    """One process could not be set up, or its program says so; the sandbox goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended: `exit` status or `signal`; `late` when it was killed because its time was over."""

    exit: int | None
    signal: int | None
    cpu_seconds: float
    memory_bytes: int
    late: bool = False

    @property
    def signal_name(self) -> str:
        """What killed it, in words; signals without a name of their own have a number."""
        if self.signal is None:
            return "no signal"
        known = {int(one): one.name for one in signal.Signals}
        return known.get(self.signal, f"signal {self.signal}")


def check_setup(ending: Ending, errors: int) -> None:
    """Raise SetupError for a process that could not be set up; `errors` has its standard error."""
    if ending.exit == SETUP_FAILED:
        raise SetupError(os.pread(errors, 300, 0).decode(errors="replace").strip() or "a process could not be set up")


def zygote_command(mode: str, *, root: str = str(_PACKAGE_ROOT), python: str = sys.executable) -> list[str]:
    """The command line of a zygote; `mode` as in `zygote.main`, `root` the folder that has ponder in it."""
    boot = _BOOT.format(root=root, mode=mode)
    return [python, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", boot]


@cache
def _plain(limits: Limits) -> dict[str, int]:
    return asdict(limits)


class Sandbox:
    """A running zygote, started by `command`. Use it in a `with` statement."""

    def __init__(self, command: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            theirs.close()
            self._core: int | None = None
            self._spares: deque[tuple[int, int, int]] = deque()  # number, socket, pid descriptor
            self._handles: dict[int, int] = {}  # number -> pid descriptor
            self._report: dict[str, Any] = {}
            if refusal := self._wait_until_ready():
                self.close()
                words = os.pread(errors.fileno(), _MESSAGE_BYTES, 0).decode(errors="replace").strip()
                raise SandboxError(f"{refusal}: {words.splitlines()[-1][:300]}" if words else refusal)

    def _wait_until_ready(self) -> str:
        """Why the zygote cannot work; nothing when it can."""
        self._control.settimeout(_START_SECONDS)
        try:
            message = self._control.recv(_MESSAGE_BYTES)
            return str(json.loads(message)["ready"]) if message else "the zygote ended at once"
        except (OSError, ValueError) as error:
            return f"the zygote did not start: {error}"
        finally:
            self._control.settimeout(None)

    @contextmanager
    def one_core(self, core: int | None = None) -> Iterator[None]:
        """Keep this thread, and what it starts meanwhile, on `core`, by default the one it is on now.

        A program and its tests take turns. Waking each other from core to core takes longer than most programs run.
        """
        allowed = os.sched_getaffinity(0)
        core = current_core() if core is None else core
        try:
            os.sched_setaffinity(0, {core})
        except OSError:  # not allowed here: then it only takes longer
            yield
            return
        self._core = core
        try:
            yield
        finally:
            self._core = None
            os.sched_setaffinity(0, allowed)

    def start(self, role: str, descriptors: Sequence[int], limits: Limits) -> int:
        """Have a clone take `descriptors` as its 0, 1, 2, ... and play `role`; returns its number."""
        if not self._spares:
            self._ask({"clones": _AHEAD, "core": self._core})
            for _ in range(_AHEAD):
                self._hear()
        number, requests, self._handles[number] = self._spares.popleft()
        request = {"role": role, "limits": _plain(limits), "core": self._core}
        with socket.socket(fileno=requests) as connection:
            try:
                socket.send_fds(connection, [json.dumps(request).encode()], list(descriptors))
            except OSError as error:
                raise SandboxError(f"the zygote is gone: {error}") from None
        return number

    def wait(self, number: int, deadline: float) -> Ending:
        """How process `number` ended; kills it at `deadline` (monotonic clock)."""
        poll = select.poll()
        poll.register(self._handles[number], select.POLLIN)
        late = not poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if late:
            self.kill(number)
            if not poll.poll(_REAP_SECONDS * 1000):
                raise SandboxError(f"a process could not be killed within {_REAP_SECONDS:g} s")
        os.close(self._handles.pop(number))
        self._ask({"end": number})
        while not self._report:
            self._hear()
        report, self._report = self._report, {}
        return Ending(**report, late=late)

    def abandon(self, number: int) -> None:
        """Kill process `number` without waiting for its end; `wait` must not be called any more."""
        os.close(self._handles.pop(number))
        self._ask({"forget": number})

    def kill(self, number: int) -> None:
        """Kill process `number` and everything it started; `wait` still has to be called."""
        self._ask({"kill": number})

    def _ask(self, message: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(message).encode())
        except OSError as error:
            raise SandboxError(f"the zygote is gone: {error}") from None

    def _hear(self) -> None:
        """Take the next clone or report."""
        message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 2)
        if not message:
            raise SandboxError("the zygote ended")
        if descriptors:
            requests, handle = descriptors
            self._spares.append((int(message), requests, handle))
        else:
            self._report = json.loads(message)

    def close(self) -> None:
        """End the zygote and all it started."""
        self._control.close()
        for _, requests, handle in self._spares:
            os.close(requests)
            os.close(handle)
        for handle in self._handles.values():
            os.close(handle)
        self._spares.clear()
        self._handles.clear()
        try:
            self._process.wait(_REAP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
