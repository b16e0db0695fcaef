"""One process that answers verbs, as whoever started it has it: told something, looked after, ended.

No call here waits longer than it is told to. A keeper loads no torch, so it stands in processes that only place others.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from ponder.ranks.launch import launch
from ponder.ranks.messages import Messages

__all__ = ["Keeper", "Look"]

_STOPPED_SECONDS = 3.0
"""How long a process may stand still by SIGSTOP: nothing that works does."""
_LOOK_EVERY = 0.5
"""Seconds between looks at whether it stands still."""
_PATIENCE = 2.0
"""Seconds in which a process ends by itself once its pipe is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen: a message, or how the process ended; neither while it is at work."""

    message: bytes | None = None
    ended: str = ""


class Keeper:
    """The process of `maker`, see `process.py`; it ends with the process that holds this."""

    def __init__(
        self, maker: str, threads: int, log: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._process, link = launch(maker, threads, environment=environment, log=log)
        self._messages = Messages(link)
        self._looked, self._still_since = 0.0, 0.0

    def pids(self) -> tuple[int, int]:
        """This process, and the one that is kept."""
        return os.getpid(), self._process.pid

    def address(self) -> tuple[str, int]:
        """This machine's name and a port that nobody uses now."""
        with socket.socket() as free:
            free.bind(("", 0))
            port: int = free.getsockname()[1]
        return socket.gethostname(), port

    def resident_bytes(self) -> int:
        """Memory that the process has; 0 when it is gone."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def send(self, message: bytes) -> None:
        """Tell it something. That it is gone is seen by `look`."""
        self._messages.send(message)

    def look(self, seconds: float) -> Look:
        """Wait at most so long for what it says. One that stands still is ended."""
        try:
            if (message := self._messages.receive(seconds)) is not None:
                return Look(message=message)
        except (EOFError, ConnectionResetError):
            return Look(ended=self._how(self._process.wait(_PATIENCE)))
        except subprocess.TimeoutExpired:
            self._process.kill()
            return Look(ended="closed its pipe and did not end")
        if self._stands_still():
            self._process.kill()
            return Look(ended=f"stood still for {_STOPPED_SECONDS:.0f} s (SIGSTOP) and was ended")
        return Look()

    def end(self) -> None:
        """End the process, which may be in an exchange that nobody answers."""
        self._messages.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE if not self._is_stopped() else 0)
        self._process.kill()
        self._process.wait()

    def _stands_still(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._still_since = (self._still_since or now) if self._is_stopped() else 0.0
        return self._still_since > 0 and now - self._still_since >= _STOPPED_SECONDS

    def _is_stopped(self) -> bool:
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED)
        return False

    @staticmethod
    def _how(code: int) -> str:
        return f"ended by {signal.Signals(-code).name if code < 0 else f'exit status {code}'}"
