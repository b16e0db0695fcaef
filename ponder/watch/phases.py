"""Where the seconds of a step go."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Phases"]

_APART = ("evaluate", "save")


class Phases:
    """A stopwatch per phase. Example: `with phases("generate"): ...`, then `take()` -> {"generate": 1.9, "step": 2.0}.

    Measuring the model (`evaluate`) and keeping it (`save`) are no part of a step.
    Phases may follow each other or repeat, but not nest: the seconds of a step would be counted twice.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._open: str | None = None
        self._since = time.perf_counter()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        assert self._open is None, f"phase {name!r} opened inside phase {self._open!r}"
        self._open, start = name, time.perf_counter()
        try:
            yield
        finally:
            self._open = None
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """Seconds by phase since the last `take`, and under `step` those of the whole time but for what is no part of a
        step, then start again."""
        now = time.perf_counter()
        apart = sum(self._seconds.get(name, 0.0) for name in _APART)
        seconds = self._seconds | {"step": now - self._since - apart}
        self._seconds, self._since = {}, now
        return seconds
