"""Where the seconds of a step go."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Phases", "seconds_spent"]

_APART = ("evaluate", "save")
_OF_A_ROLLOUT = ("generate", "verify", "judge", "score")
_OF_A_STEP = (*_OF_A_ROLLOUT, "wait", "reference", "proximal", "critic", "update")


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


def seconds_spent(row: Mapping[str, float | None]) -> dict[str, float]:
    """Where a step's time went, of its row of metrics: seconds by phase, which follow each other; `other` is the rest
    of the step. A rollout that was waited for was drawn beside training: its phases take no time of their own."""
    found = {name: value for name in (*_OF_A_STEP, *_APART) if (value := row.get(f"seconds/{name}")) is not None}
    if "wait" in found:
        found = {name: value for name, value in found.items() if name not in _OF_A_ROLLOUT}
    step = row.get("seconds/step")
    if step is not None:
        found["other"] = max(0.0, step - sum(value for name, value in found.items() if name not in _APART))
    return found
