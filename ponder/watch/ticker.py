"""How far one long piece of work is, where nothing redraws itself: a line a minute with rate and time left."""

import time
from collections.abc import Callable

from ponder.watch.pace import Pace

__all__ = ["Ticker"]


class Ticker:
    """Told how much is done and of how much, says so at most once in `seconds`, and not at the end.
    Example: Ticker("base on gsm8k", print)(120, 256)."""

    def __init__(self, title: str, say: Callable[[str], None], *, seconds: float = 60.0) -> None:
        self._title, self._say, self._seconds = title, say, seconds
        self._began = self._said = time.perf_counter()
        self._pace: Pace | None = None

    def __call__(self, done: int, total: int, pace: str = "") -> None:
        """`done` of `total` are finished; `pace` is told in place of the rate at which they were."""
        if self._pace is None:
            self._pace = Pace(done - 1, self._began)  # the rest was there already: it says nothing about the rate
        now = time.perf_counter()
        if now - self._said < self._seconds or done >= total:
            return
        self._said = now
        self._say(f"{self._title}: {done:,} of {total:,} completions{pace or self._pace.text(done, total)}")
