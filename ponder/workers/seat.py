"""One engine of a pool, or the room for one: empty, starting, loading weights, idle or drawing."""

import time
from dataclasses import dataclass, field

from ponder.workers.worker import Worker

__all__ = ["Seat"]

_WAIT = 2.0
"""Seconds between two tries to start one where there was no room."""
_HOUR = 3600.0


@dataclass(slots=True, eq=False)
class Seat:
    """What is known of the engine `name`. `loaded` is the digest of its weights, `loading` of those that it is being
    given, `reloaded` whether for the second time, `waiting` whether there was no room for it."""

    name: str
    worker: Worker | None = None
    busy: bool = False
    loaded: str = ""
    loading: str = ""
    reloaded: bool = False
    task: int | None = None
    waiting: bool = False
    tried: float = 0.0
    losses: list[float] = field(default_factory=list)

    @property
    def may_start(self) -> bool:
        """Whether an engine is to be tried here now."""
        return self.worker is None and time.monotonic() - self.tried >= _WAIT

    def lost(self) -> int | None:
        """Forget the engine; the task that it had."""
        task = self.task
        self._forget()
        self.losses.append(time.monotonic())
        self.tried = 0.0
        return task

    @property
    def lost_in_an_hour(self) -> int:
        """How often it was lost lately."""
        now = time.monotonic()
        return sum(now - moment < _HOUR for moment in self.losses)

    def end(self) -> None:
        """End the engine, if there is one."""
        if self.worker is not None:
            self.worker.end()
        self._forget()

    def _forget(self) -> None:
        self.worker, self.task, self.busy = None, None, False
        self.loaded, self.loading, self.reloaded = "", "", False
