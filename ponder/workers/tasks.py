"""What is to be drawn, cut into tasks that do not depend on who draws them, and who has which. No torch.

What an engine draws depends, by rounding, on what it computes beside it. So requests are cut by themselves alone, and a
task is always one whole call: the same bytes whichever engine makes it, and however many there are.
"""

from collections.abc import Sequence
from dataclasses import replace

from ponder.rollout.engine import Request

__all__ = ["Piece", "TaskQueue", "deal", "part"]

Piece = tuple[int, int, int]
"""Index of a request, its first seed in this task, and the one after its last."""


def deal(seeds: Sequence[int], size: int) -> list[tuple[Piece, ...]]:
    """Tasks of at most `size` completions for requests with so many `seeds` each, in their order. A request is cut only
    where it has more than a whole task."""
    tasks: list[tuple[Piece, ...]] = []
    pieces: list[Piece] = []
    room = size
    for request, count in enumerate(seeds):
        first = 0
        if pieces and count > room:
            tasks.append(tuple(pieces))
            pieces, room = [], size
        while first < count:
            stop = min(count, first + room)
            pieces.append((request, first, stop))
            room -= stop - first
            first = stop
            if room == 0:
                tasks.append(tuple(pieces))
                pieces, room = [], size
    return [*tasks, tuple(pieces)] if pieces else tasks


def part(requests: Sequence[Request], task: Sequence[Piece]) -> list[Request]:
    """The requests of a task, with what an engine needs of them."""
    return [replace(requests[i], seeds=requests[i].seeds[first:stop], problem=None) for i, first, stop in task]


class TaskQueue:
    """Tasks by number: waiting, with an engine, or done. The lowest that waits goes next."""

    def __init__(self, count: int) -> None:
        self._waiting = set(range(count))
        self._out: set[int] = set()
        self.lost = [0] * count
        """How often each was with an engine that was lost."""

    @property
    def done(self) -> bool:
        """Whether all are."""
        return not self._waiting and not self._out

    @property
    def waiting(self) -> int:
        """How many nobody has."""
        return len(self._waiting)

    def take(self) -> int:
        """Hand out the next one."""
        task = min(self._waiting)
        self._waiting.remove(task)
        self._out.add(task)
        return task

    def give_back(self, task: int) -> None:
        """Its engine is lost: another one makes it."""
        self._out.remove(task)
        self._waiting.add(task)
        self.lost[task] += 1

    def finish(self, task: int) -> None:
        """It is made."""
        self._out.remove(task)
