"""Lanes in forked processes: each sends its steps through a pipe until it is done.

A fork shares the parent's memory as it was, copy on write, so a lane is not pickled and the weights are not copied. It
is a bare `os.fork`, since `multiprocessing` lets no daemonic process start another.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Self

from ponder.errors import PonderError
from ponder.rollout.carried import Carried
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

    def start(self, lane: Lane, share: Share, stop: Callable[[], bool] | None = None) -> None:
        """Run `lane` in a process of its own, until it is to stop; its results are for the places in `share`."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # or the tokenizers library warns of every fork
        receiver, sender = Pipe(duplex=False)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _run(lane, sender, parent, stop)
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
                raise PonderError(_ended(self._reap(receiver))) from None
            if isinstance(message, Step):
                yield message, self._forks[receiver].share
            else:
                self._reap(receiver)
                if isinstance(message, Carried):
                    raise message.error("In a forked lane")

    def _reap(self, receiver: Connection) -> int:
        """Wait for the process to end; its exit status, or the signal that ended it as a negative number."""
        status = os.waitstatus_to_exitcode(os.waitpid(self._forks.pop(receiver).pid, 0)[1])
        receiver.close()
        return status


def _ended(status: int) -> str:
    """What to tell of a lane that ended without a word."""
    if status == -signal.SIGKILL:
        return (
            "A sampling process was killed (SIGKILL) before it was done. Something outside did that, most often the "
            "system for want of memory: lower engine.max_slots."
        )
    how = f"the signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    return (
        f"A sampling process ended with {how} before it was done and could not say why: a fault of a library's "
        "compiled code, or of the machine. With OMP_NUM_THREADS=1 the main process samples alone, where it can be seen."
    )


def _run(lane: Lane, sender: Connection, parent: int, stop: Callable[[], bool] | None) -> None:
    """The forked process: ends when done, or when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us
    tokens, finished, sent = 0, list[Finished](), time.monotonic()
    try:
        for step in lane.steps(stop):
            tokens += step.tokens
            finished += step.finished
            if step.failed or step.begun:
                sender.send(step)
            if os.getppid() != parent:
                return
            if finished or time.monotonic() - sent > _SEND_SECONDS:
                sender.send(Step(tokens=tokens, finished=tuple(finished)))
                tokens, finished, sent = 0, [], time.monotonic()
        sender.send(Step(tokens=tokens, finished=tuple(finished)))
        sender.send(None)
    except Exception as error:  # raised again in the parent
        sender.send(Carried.of(error))
