"""The processes of a team as their parent has them: started, asked all at once, and ended with whoever holds them.

A verb returns on all ranks or on none: ranks wait for each other, so one that fails leaves the others waiting, and all
are ended.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from ponder.errors import RankError
from ponder.ranks.answer import Answer
from ponder.ranks.launch import launch
from ponder.share import beside, most_threads

__all__ = ["Crew"]

_PATIENCE = 2.0
"""Seconds in which a process ends by itself once its pipe is closed."""


class Crew:
    """One process per rank. Each calls `maker`, "module:function", with the arguments that `setups` has for it, and
    keeps the object; it inherits the file descriptors `inherited`."""

    def __init__(self, maker: str, setups: Sequence[tuple[Any, ...]], inherited: Sequence[int] = ()) -> None:
        self._links: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        cores = os.cpu_count() or 1
        # A stage beside others deals out its share; OMP_NUM_THREADS by itself is for each process.
        dealt = (most_threads(cores) if beside() > 1 else cores) // len(setups)
        threads = max(1, min(most_threads(cores), dealt))
        self.close = weakref.finalize(self, _end, self._links, self._processes)
        for _ in setups:
            process, ours = launch(maker, threads, inherited)
            self._links.append(ours)
            self._processes.append(process)
        self._ask("", [pickle.dumps(("", setup)) for setup in setups])

    @property
    def pids(self) -> list[int]:
        """The processes, by rank."""
        return [process.pid for process in self._processes]

    def resident_bytes(self) -> list[int]:
        """Memory of each."""
        return [int(psutil.Process(pid).memory_info().rss) for pid in self.pids]

    def call(self, verb: str, *arguments: Any, doing: str | None = None) -> list[Any]:
        """What the method `verb` of every rank's object returns, by rank. Raises what a rank raised if it is a
        PonderError, else RankError, which says that it was `doing` that; all processes are ended then."""
        return self._ask(doing or verb, [pickle.dumps((verb, arguments))] * len(self._links))

    def _ask(self, verb: str, messages: Sequence[bytes]) -> list[Any]:
        answers: dict[int, Answer] = {}
        try:
            for link, message in zip(self._links, messages, strict=True):
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # found below: it answers nothing
                    link.send_bytes(message)
            while len(answers) < len(self._links):
                waiting = {link: rank for rank, link in enumerate(self._links) if rank not in answers}
                ready = wait(list(waiting))
                answers |= {rank: self._received(rank, verb) for link, rank in waiting.items() if link in ready}
        except BaseException:
            self.close()
            raise
        return [answers[rank].value for rank in range(len(self._links))]

    def _received(self, rank: int, verb: str) -> Answer:
        """The answer of a rank that has answered, or is gone."""
        doing = verb or "its start"
        try:
            answer: Answer = pickle.loads(self._links[rank].recv_bytes())
        except (EOFError, ConnectionResetError):
            raise self._gone(rank, doing) from None
        if answer.error is not None:
            raise answer.error
        if answer.out_of_memory and not verb:
            raise RankError(
                f"Memory ran out at the start of {self._name(rank)} ({answer.out_of_memory}). Free some, or use a "
                f"smaller model: smaller passes would not help."
            )
        if answer.out_of_memory:
            raise RankError(
                f"Memory ran out in {self._name(rank)} ({answer.out_of_memory}). Lower "
                f"`batch.tokens_per_micro_batch`, which changes no result.",
                "memory",
            )
        if answer.trace:
            for other, process in enumerate(self._processes):  # whose end is why this one failed
                if process.poll() is not None:
                    raise self._gone(other, doing)
            raise RankError(f"A process, {self._name(rank)}, failed during {doing}:\n{answer.trace}")
        return answer

    def _gone(self, rank: int, doing: str) -> RankError:
        code = self._processes[rank].wait()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return RankError(
            f"A process, {self._name(rank)}, ended by {how} during {doing}, and its part of the weights is gone. A "
            f"machine that runs out of memory ends processes by SIGKILL: lower `batch.tokens_per_micro_batch` then.",
            "gone",
        )

    def _name(self, rank: int) -> str:
        return f"rank {rank} of the {len(self._processes)} processes that train together"


def _end(links: list[Connection], processes: list[subprocess.Popen[bytes]]) -> None:
    for link in links:
        link.close()
    for process in processes:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:  # in an exchange that nobody answers
            process.kill()
            process.wait()
