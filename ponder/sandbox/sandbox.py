"""The caller's side: start a zygote, have it run programs, learn how they ended.

A Sandbox runs for one thread. Everything a program prints or returns is read from descriptors the caller made.
"""

import json
import os
import select
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from ponder.sandbox.kernel import current_core
from ponder.sandbox.limits import Limits

__all__ = ["Ending", "Sandbox", "SandboxError", "SetupError", "zygote_command"]

SETUP_FAILED = 117
_START_SECONDS = 30.0
_REAP_SECONDS = 10.0
_MESSAGE_BYTES = 4096
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
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


def zygote_command(mode: str) -> list[str]:
    """The command line of a zygote; `mode` as in `zygote.main`."""
    boot = _BOOT.format(root=str(_PACKAGE_ROOT), mode=mode)
    return [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", boot]


@cache
def _plain(limits: Limits) -> dict[str, int]:
    return asdict(limits)


class Sandbox:
    """A running zygote, started by `command`. Use it in a `with` statement."""

    def __init__(self, command: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        self._next = 0
        self._core: int | None = None
        self._ended: dict[int, Ending] = {}
        self._late: set[int] = set()
        self._abandoned: set[int] = set()
        self._control.settimeout(_START_SECONDS)
        try:
            message = self._control.recv(_MESSAGE_BYTES)
            refusal = json.loads(message)["ready"] if message else "the zygote ended at once"
        except (OSError, ValueError) as error:
            refusal = f"the zygote did not start: {error}"
        self._control.settimeout(None)
        if refusal:
            self.close()
            raise SandboxError(refusal)

    @contextmanager
    def one_core(self) -> Iterator[None]:
        """Keep this thread, and what it starts meanwhile, on the core it is on now.

        A program and its tests take turns. Waking each other from core to core takes longer than most programs run.
        """
        allowed, core = os.sched_getaffinity(0), current_core()
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
        """Clone a process that takes `descriptors` as its 0, 1, 2, ... and plays `role`; returns its number."""
        while select.select([self._control], [], [], 0)[0]:
            self._hear()  # reports nobody waits for must not fill the socket
        self._next += 1
        request = {"id": self._next, "role": role, "limits": _plain(limits), "core": self._core}
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], list(descriptors))
        except OSError as error:
            raise SandboxError(f"the zygote is gone: {error}") from None
        return self._next

    def wait(self, number: int, deadline: float) -> Ending:
        """How process `number` ended; kills it at `deadline` (monotonic clock)."""
        limit = deadline
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            while number not in self._ended:
                if selector.select(max(0.0, limit - time.monotonic())):
                    self._hear()
                elif time.monotonic() >= limit:
                    if number in self._late:
                        raise SandboxError(f"a process could not be killed within {_REAP_SECONDS:g} s")
                    self.kill(number)
                    self._late.add(number)
                    limit = time.monotonic() + _REAP_SECONDS
        return self._ended.pop(number)

    def abandon(self, number: int) -> None:
        """Kill process `number` without waiting for its end; `wait` must not be called any more."""
        if self._ended.pop(number, None) is None:
            self._abandoned.add(number)
            self.kill(number)

    def kill(self, number: int) -> None:
        """Kill process `number` and everything it started; `wait` still has to be called."""
        try:
            self._control.send(json.dumps({"kill": number}).encode())
        except OSError as error:
            raise SandboxError(f"the zygote is gone: {error}") from None

    def _hear(self) -> None:
        message = self._control.recv(_MESSAGE_BYTES)
        if not message:
            raise SandboxError("the zygote ended")
        report = json.loads(message)
        number = report.pop("id")
        if number in self._abandoned:
            self._abandoned.remove(number)
        else:
            self._ended[number] = Ending(**report, late=number in self._late)
        self._late.discard(number)

    def close(self) -> None:
        """End the zygote and all it started."""
        self._control.close()
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
