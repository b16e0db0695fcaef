"""Workers that were lost and came back: `workers.jsonl` in the stage's folder, one line each.

A line is written once the work goes on, with the seconds that it took; null where the stage ended before.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ponder.watch.lines import dump_line, read_lines, repair

__all__ = ["LOSSES_FILE", "Loss", "LossLog", "losses_text", "read_losses"]

LOSSES_FILE = "workers.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """`what` was lost on the node `where`, `why`, when, and after how many seconds the work went on without it."""

    what: str
    where: str
    why: str
    time: str
    seconds: float | None


class LossLog:
    """The losses of one stage."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOSSES_FILE
        self._open: dict[str, tuple[float, Loss]] = {}
        if self._path.exists():
            repair(self._path)

    def lost(self, what: str, where: str, why: str) -> None:
        """From now on this is waited for. One that is lost again before it is back is two losses."""
        self._write(what, None)
        moment = datetime.now(UTC).isoformat(timespec="seconds")
        self._open[what] = time.monotonic(), Loss(what=what, where=where, why=why, time=moment, seconds=None)

    def back(self, what: str) -> None:
        """It works again, if it was lost at all."""
        if what in self._open:
            self._write(what, round(time.monotonic() - self._open[what][0], 3))

    def close(self) -> None:
        """Write what never came back."""
        for what in list(self._open):
            self._write(what, None)

    def _write(self, what: str, seconds: float | None) -> None:
        if what in self._open:
            _, loss = self._open.pop(what)
            with self._path.open("ab") as file:
                file.write(dump_line({**asdict(loss), "seconds": seconds}))


def read_losses(folder: Path) -> list[Loss]:
    """All losses of a stage, in the order in which they were made good."""
    return list(_read(folder / LOSSES_FILE))


def _read(path: Path) -> Iterator[Loss]:
    if path.exists():
        for _, value in read_lines(path):
            yield Loss(**value)


def losses_text(losses: list[Loss]) -> str:
    """One line about them; empty without any."""
    if not losses:
        return ""
    kinds: dict[str, int] = {}
    for one in losses:
        kind = one.what.partition("-")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    back = [one.seconds for one in losses if one.seconds is not None]
    went_on = f"; work went on after {max(back):.1f} s at most" if back else ""
    last = losses[-1]
    return (
        f"workers lost: {', '.join(f'{count} x {kind}' for kind, count in kinds.items())}{went_on}; the last one, "
        f"{last.what} on {last.where}, {last.why}"
    )
