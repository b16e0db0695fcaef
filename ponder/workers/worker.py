"""A process at a place, asked one verb at a time, each within a limit."""

import math
import pickle
import time
from pathlib import Path
from typing import Any

from ponder.errors import WorkerLost
from ponder.ranks.answer import Answer
from ponder.workers.home import Place

__all__ = ["Worker", "last_lines", "limit_after"]

_START_SECONDS = 600.0
_LEAST_LIMIT, _SLOWER = 300.0, 10.0
_SHOWN = 5  # lines of a log


class Worker:
    """`name` as in the log's file name. `arguments` go to the maker, which answers first."""

    def __init__(self, name: str, place: Place, arguments: tuple[Any, ...]) -> None:
        self.name, self.place = name, place
        self.verb = self._doing = ""
        self._limit = self._began = 0.0
        self.begin("", *arguments, limit=_START_SECONDS)

    @property
    def where(self) -> str:
        """The node, for people."""
        return self.place.where

    @property
    def spent(self) -> float:
        """Seconds since the verb was begun."""
        return time.monotonic() - self._began

    def begin(self, verb: str, *arguments: Any, limit: float, doing: str = "") -> None:
        """Ask for something, which people know as `doing`; `answer` then tells when it is there, or raises once `limit`
        seconds have passed."""
        self.verb, self._limit, self._began = verb, limit, time.monotonic()
        self._doing = doing or verb or "its start"
        message = ("", arguments) if not verb else (verb, arguments)
        self.place.send(pickle.dumps(message))

    def answer(self, seconds: float) -> Answer | None:
        """What was answered, or None after about so many seconds without. WorkerLost when the process is gone, or has
        not answered within the verb's limit; it is ended then."""
        try:
            look = self.place.look(seconds)
        except WorkerLost:
            self.end()
            raise
        if look.message is not None:
            answer: Answer = pickle.loads(look.message)
            return answer
        why = f"{look.ended} during {self._doing}" if look.ended else ""
        if not why and self.spent > self._limit:
            why = f"did not answer {self._doing} within {self._limit:.0f} s"
        if why:
            self.end()
            raise WorkerLost(what=self.name, where=self.where, why=why)
        return None

    def end(self) -> None:
        """End the process."""
        self.place.end()


def limit_after(slowest: float) -> float:
    """Seconds that something may take whose slowest so far took so many: no end to them before there was one. What is
    gone or stands still is seen anyway."""
    return max(_LEAST_LIMIT, _SLOWER * slowest) if slowest else math.inf


def last_lines(log: Path) -> str:
    """The end of what a worker printed, for an error."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_SHOWN:]
    except OSError:
        return ""
    return f" The last lines of {str(log)!r}: " + " | ".join(lines) if lines else ""
