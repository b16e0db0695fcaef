"""Lanes in forked processes: each sends its steps through a pipe until it is done.

A fork shares the parent's memory as it was, copy on write, so a lane is not pickled and the weights are not copied. It
is a bare `os.fork`, since `multiprocessing` lets no daemonic process start another.
"""

import os
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Self

from ponder.errors import PonderError
from ponder.rollout.lane import Finished, Lane, Step

__all__ = ["Forks", "Share"]

Share = Sequence[tuple[int, int]]
"""Where each sample of a lane belongs: (index of the request, index of the seed)."""

_SEND_SECONDS = 0.1
"""Least time between two messages of a lane that has finished nothing."""


@dataclass(frozen=True, slots=True)
class _Fork:
    pid: int
    share: Share


class Forks:
    """The forked lanes of one call; leaving the context ends them, however it is left."""

    def __init__(self) -> None:
        self._forks: dict[Connection, _Fork] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for receiver in list(self._forks):
            os.kill(self._forks[receiver].pid, signal.SIGKILL)
            self._reap(receiver)

    @property
    def running(self) -> bool:
        """Whether any lane has not said that it is done."""
        return bool(self._forks)

    def start(self, lane: Lane, share: Share) -> None:
        """Run `lane` in a process of its own; its results are for the places in `share`."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # or the tokenizers library warns of every fork
        receiver, sender = Pipe(duplex=False)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _run(lane, sender, parent)
                status = 0
            finally:  # leave without the parent's clean-up, whatever happened
                os._exit(status)
        sender.close()
        self._forks[receiver] = _Fork(pid, share)

    def received(self, wait_seconds: float = 0) -> Iterator[tuple[Step, Share]]:
        """What has come in, with the share it belongs to. Raises what a lane raised; PonderError if one was killed."""
        for receiver in wait(list(self._forks), wait_seconds):
            assert isinstance(receiver, Connection)
            try:
                message = receiver.recv()
            except EOFError:
                raise PonderError(
                    f"A sampling process ended with {self._reap(receiver)} before it was done. Something outside "
                    f"killed it, most often the system for want of memory: lower engine.max_slots."
                ) from None
            if isinstance(message, Step):
                yield message, self._forks[receiver].share
            else:
                self._reap(receiver)
                if message is not None:
                    raise message

    def _reap(self, receiver: Connection) -> str:
        """Wait for the process to end; how it ended."""
        status = os.waitstatus_to_exitcode(os.waitpid(self._forks.pop(receiver).pid, 0)[1])
        receiver.close()
        return f"status {status}" if status >= 0 else signal.Signals(-status).name


def _run(lane: Lane, sender: Connection, parent: int) -> None:
    """The forked process: ends when done, or when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us
    tokens, finished, sent = 0, list[Finished](), time.monotonic()
    try:
        for step in lane.steps():
            tokens += step.tokens
            finished += step.finished
            if os.getppid() != parent:
                return
            if finished or time.monotonic() - sent > _SEND_SECONDS:
                sender.send(Step(tokens=tokens, finished=tuple(finished)))
                tokens, finished, sent = 0, [], time.monotonic()
        sender.send(Step(tokens=tokens, finished=tuple(finished)))
        sender.send(None)
    except Exception as error:  # raised again in the parent
        error.add_note(f"In a forked lane:\n{traceback.format_exc()}")
        sender.send(error)
