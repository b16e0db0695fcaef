"""Lanes in forked processes: each sends its steps through a pipe until it is done.

A fork shares the parent's memory as it was, copy on write, so a lane is not pickled and the weights are not copied.
"""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from ponder.errors import PonderError
from ponder.rollout.lane import Finished, Lane, Step

__all__ = ["Forks"]

_SEND_SECONDS = 0.1
"""Least time between two messages of a lane that has finished nothing."""

Share = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Fork:
    process: BaseProcess
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
        for receiver, fork in self._forks.items():
            fork.process.kill()
            fork.process.join()
            receiver.close()
        self._forks.clear()

    @property
    def running(self) -> bool:
        return bool(self._forks)

    def start(self, lane: Lane, share: Share) -> None:
        """Run `lane` in a process of its own; its results are for the places in `share`."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # or the tokenizers library warns of every fork
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(lane, sender, os.getpid()), daemon=True)
        process.start()
        sender.close()
        self._forks[receiver] = _Fork(process, share)

    def received(self, wait_seconds: float = 0) -> Iterator[tuple[Step, Share]]:
        """What has come in, with the share it belongs to. Raises what a lane raised; PonderError if one was killed."""
        for receiver in wait(list(self._forks), wait_seconds):
            assert isinstance(receiver, Connection)
            fork = self._forks[receiver]
            try:
                message = receiver.recv()
            except EOFError:
                fork.process.join()
                raise PonderError(
                    f"A sampling process ended with exit status {fork.process.exitcode} before it was done. Something "
                    f"outside killed it, most often the system for want of memory: lower engine.max_slots."
                ) from None
            if isinstance(message, BaseException):
                raise message
            if message is None:
                fork.process.join()
                receiver.close()
                del self._forks[receiver]
            else:
                yield message, fork.share


def _run(lane: Lane, sender: Connection, parent: int) -> None:
    """The forked process: ends when done, or when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us
    tokens, finished, sent = 0, list[Finished](), time.monotonic()
    try:
        for step in lane.steps():
            tokens += step.tokens
            finished += step.finished
            if os.getppid() != parent:
                os._exit(1)
            if finished or time.monotonic() - sent > _SEND_SECONDS:
                sender.send(Step(tokens=tokens, finished=tuple(finished)))
                tokens, finished, sent = 0, [], time.monotonic()
        sender.send(Step(tokens=tokens, finished=tuple(finished)))
        sender.send(None)
    except Exception as error:  # raised again in the parent
        error.add_note(traceback.format_exc())
        sender.send(error)
