"""How far many requests are, in one line now and then: rate, time left, tokens, cost, failures."""

import time
from collections.abc import Callable

from ponder.ask.ask import Reply
from ponder.watch.pace import seconds_text

__all__ = ["Meter"]

_LINE_SECONDS = 10.0


class Meter:
    """Counts replies of a call that has `todo` of `total` still to get, and says a line every ten seconds."""

    def __init__(self, title: str, total: int, todo: int, say: Callable[[str], None]) -> None:
        self._title, self._total, self._todo, self._say = title, total, todo, say
        self._done = self._tokens = self._failed = 0
        self._cost: float | None = None
        self._began = self._said = time.monotonic()
        self._said_done = -1
        if todo < total:
            say(f"{title}: {total - todo:,} of {total:,} replies are there already, {todo:,} are asked for")

    def add(self, *replies: Reply) -> None:
        """Further replies."""
        for reply in replies:
            self._done += 1
            self._tokens += reply.completion_tokens or 0
            self._failed += bool(reply.failure)
            if reply.cost is not None:
                self._cost = (self._cost or 0.0) + reply.cost
        if time.monotonic() - self._said >= _LINE_SECONDS:
            self._line()

    def end(self) -> None:
        """The last line, unless it has been said."""
        if self._said_done < self._done:
            self._line()

    def _line(self) -> None:
        self._said, self._said_done = time.monotonic(), self._done
        rate = self._done / max(self._said - self._began, 1e-9)
        facts = [f"{self._total - self._todo + self._done:,} of {self._total:,} replies", f"{rate:.3g} a second"]
        if self._done < self._todo:
            facts.append(f"{seconds_text((self._todo - self._done) / rate)} left")
        facts.append(f"{self._tokens:,} tokens")
        if self._cost is not None:
            facts.append(f"cost {self._cost:.4g}")
        if self._failed:
            facts.append(f"{self._failed:,} failed")
        self._say(f"{self._title}: {', '.join(facts)}")
