"""The clock that chat templates see. Some write today's date into every prompt; it stands still for a whole run, so
that a resumed run and all its stages read the same prompts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

__all__ = ["fixed_clock", "moment"]

_moments: list[datetime] = []


@contextmanager
def fixed_clock(moment: str) -> Iterator[None]:
    """Let the clock stand at this ISO 8601 time, in all threads, until the context ends."""
    _moments.append(datetime.fromisoformat(moment))
    try:
        yield
    finally:
        _moments.pop()


def moment() -> datetime:
    """Where the clock stands: at the time it was fixed at, else at that of the first question in this process."""
    if not _moments:
        _moments.append(datetime.now(UTC))
    return _moments[-1]
