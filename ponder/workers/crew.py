"""Ranks that train together at places of a home, with the verbs of a `Crew`.

A verb returns on all ranks or on none. A rank that is lost is the loss of all: they are ended, and the stage goes back
to its last checkpoint.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ponder.errors import RankError, WorkerLost
from ponder.ranks.answer import Answer
from ponder.workers.home import Home, Place
from ponder.workers.worker import Worker, last_lines, limit_after

__all__ = ["PlacedCrew"]

_ROOM_SECONDS, _TRY_EVERY = 1800.0, 2.0
"""How long a node is waited for, and how often it is looked for."""
_LOOK = 0.2
_OTHERS_SECONDS = 25.0
"""How long after a rank has failed another may be found to be gone, which is why."""
_PASSING = (
    "connection closed by peer", "connection reset by peer", "broken pipe", "timed out waiting",
    "address already in use",
)  # fmt: skip
"""What says in a rank's trace that the same may go well the next time: another rank was gone, or somebody has taken the
port of the meeting since it was found to be free."""


class PlacedCrew:
    """`size` processes of `maker`, not told yet what to make. `meeting` is where they find each other."""

    def __init__(
        self, home: Home, size: int, maker: str, folder: Path, threads: int, say: Callable[[str], None]
    ) -> None:
        self._home, self._folder, self._say = home, folder, say
        self._places: list[Place] = []
        self._workers: list[Worker] = []
        self._slowest: dict[str, float] = {}  # seconds, by what was done
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        try:
            while len(self._places) < size:
                self._places.append(self._room(f"rank-{len(self._places)}", maker, threads))
            host, port = self._places[0].address()
        except WorkerLost as lost:
            self.close()
            raise self._gone(lost) from lost
        except BaseException:
            self.close()
            raise
        self.meeting = f"tcp://{host}:{port}"

    def make(self, setups: Sequence[tuple[Any, ...]]) -> None:
        """Tell each rank what it is; returns when all are."""
        self._workers = [
            Worker(f"rank-{rank}", place, setup)
            for rank, (place, setup) in enumerate(zip(self._places, setups, strict=True))
        ]
        self._answers("its start")

    def call(self, verb: str, *arguments: Any, doing: str | None = None) -> list[Any]:
        """See `Crew.call`."""
        doing = doing or verb
        slowest = self._slowest.get(doing, 0.0)
        for worker in self._workers:
            worker.begin(verb, *arguments, limit=limit_after(slowest), doing=doing)
        found = self._answers(doing)
        self._slowest[doing] = max(slowest, *(worker.spent for worker in self._workers))
        return found

    def resident_bytes(self) -> list[int]:
        """Memory of each rank."""
        try:
            return [place.resident_bytes() for place in self._places]
        except WorkerLost as lost:
            self.close()
            raise self._gone(lost) from lost

    def close(self) -> None:
        """End all."""
        for place in self._places:
            place.end()
        self._places.clear()
        self._workers.clear()

    def _room(self, name: str, maker: str, threads: int) -> Place:
        """A place for a rank, waited for where there is none now."""
        began, said = time.monotonic(), False
        while True:
            try:
                return self._home.start(name, maker, threads, self._folder / "workers" / f"{name}.log")
            except WorkerLost as lost:
                if time.monotonic() - began > _ROOM_SECONDS:
                    raise
                if not said:
                    self._say(f"waiting for a node: {lost}")
                said = True
                time.sleep(_TRY_EVERY)

    def _answers(self, doing: str) -> list[Any]:
        answers: dict[int, Answer] = {}
        try:
            while len(answers) < len(self._workers):
                for rank, worker in enumerate(self._workers):
                    if rank not in answers and (answer := worker.answer(_LOOK / len(self._workers))) is not None:
                        answers[rank] = self._returned(rank, answer, doing, answers)
        except WorkerLost as lost:
            self.close()
            raise self._gone(lost) from lost
        except BaseException:
            self.close()
            raise
        return [answers[rank].value for rank in range(len(self._workers))]

    def _returned(self, rank: int, answer: Answer, doing: str, answers: dict[int, Answer]) -> Answer:
        """The answer, if it is one."""
        worker = self._workers[rank]
        if answer.error is not None:
            raise answer.error
        if answer.out_of_memory:
            raise RankError(
                f"Memory ran out in {worker.name} on {worker.where} ({answer.out_of_memory}). Lower "
                f"`batch.tokens_per_micro_batch`, which changes no result.",
                "fault" if doing == "its start" else "memory",
                worker.where,
            )
        if answer.trace:
            self._find_lost({rank, *answers})  # whose end is why this one failed
            passing = any(words in answer.trace.lower() for words in _PASSING)
            raise RankError(
                f"{worker.name} on {worker.where} failed during {doing}:\n{answer.trace}",
                "gone" if passing else "fault",
                worker.where,
            )
        return answer

    def _find_lost(self, answered: set[int]) -> None:
        """WorkerLost if one of the others is gone, or is seen to be within a while."""
        others = {rank: worker for rank, worker in enumerate(self._workers) if rank not in answered}
        deadline = time.monotonic() + _OTHERS_SECONDS
        while others and time.monotonic() < deadline:
            for rank, worker in list(others.items()):
                if worker.answer(_LOOK) is not None:  # it failed for the same reason
                    del others[rank]

    def _gone(self, lost: WorkerLost) -> RankError:
        tail = ""
        with contextlib.suppress(OSError):
            tail = last_lines(self._folder / "workers" / f"{lost.what}.log")
        return RankError(
            f"{lost.what}, one of the processes that train together, is lost on {lost.where}: it {lost.why}, and its "
            f"part of the weights is gone.{tail}",
            "gone",
            lost.where,
        )
