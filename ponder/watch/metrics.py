"""The metrics of a stage: `metrics.jsonl`, one object per step, and the same numbers as TensorBoard events.

Step n is the state after n updates, so step 0 is the model as it came. The JSON lines are the truth; the event files
are a view of them and are written anew from them when a run resumes, so that a resumed run shows each step once.
"""

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.files import write_bytes
from ponder.watch.keys import find_key
from ponder.watch.lines import cut_after, dump_line, read_lines, repair

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

__all__ = ["MetricsLog", "Row", "read_metrics", "recent"]

Row = Mapping[str, float | None]
"""The metrics of one step by `area/name`, and the step under `step`. None: measured, but not a finite number."""


def read_metrics(folder: Path) -> list[Row]:
    """The rows of a stage folder in order of step, none where nothing was measured; works while they are written."""
    path = folder / "metrics.jsonl"
    return [value for _, value in read_lines(path)] if path.exists() else []


def recent(rows: Sequence[Row], key: str, count: int) -> list[float]:
    """The last `count` values of a metric, oldest first; empty where there are fewer."""
    found: list[float] = []
    for row in reversed(rows):
        if (value := row.get(key)) is not None:
            found.append(value)
            if len(found) == count:
                return found[::-1]
    return []


class MetricsLog:
    """Appends to `metrics.jsonl` and `tensorboard/` in a stage's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"
        self._events_folder = folder / "tensorboard"
        self._events: EventFileWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            repair(self._path)
        rows = read_metrics(folder)
        self._last_step = _step(rows[-1]) if rows else -1
        self._reopened = False

    def write(self, step: int, values: Mapping[str, float]) -> Row:
        """Append the row of `step`, which must be later than the last one, and return it. Non-finite values are written
        as null."""
        assert step > self._last_step, f"metrics of step {step} after those of step {self._last_step}"
        unknown = [key for key in values if find_key(key) is None]
        assert not unknown, f"metrics that watch/keys.py does not explain: {unknown}"
        row: Row = {"step": step} | {key: _finite(value) for key, value in values.items()}
        if self._reopened:
            self._replace_last(dump_line(row))
        else:
            with self._path.open("ab") as file:
                file.write(dump_line(row))
            self._write_event(row)
        self._last_step = step
        return row

    def reopen(self) -> dict[str, float]:
        """The values of the last row, which the next `write` replaces; until then it stands as it is."""
        *before, last = read_metrics(self._path.parent)
        self._last_step = _step(before[-1]) if before else -1
        self._reopened = True
        return {key: math.nan if value is None else value for key, value in last.items() if key != "step"}

    def truncate_after(self, step: int) -> None:
        """Forget later steps than `step`: they are about to be run again."""
        if self._path.exists():
            cut_after(self._path, step)
        self._reopened = False
        rows = self._write_events_anew()
        self._last_step = _step(rows[-1]) if rows else -1

    def close(self) -> None:
        """Flush and close the event file; a later `write` opens another."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _replace_last(self, line: bytes) -> None:
        *_, (start, _) = read_lines(self._path)
        write_bytes(self._path, self._path.read_bytes()[:start] + line)
        self._reopened = False
        self._write_events_anew()

    def _write_events_anew(self) -> list[Row]:
        self.close()
        shutil.rmtree(self._events_folder, ignore_errors=True)
        rows = read_metrics(self._path.parent)
        for row in rows:
            self._write_event(row)
        return rows

    def _write_event(self, row: Row) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if self._events is None:
            self._events = EventFileWriter(str(self._events_folder))
        scalars = [
            Summary.Value(tag=key, simple_value=value)
            for key, value in row.items()
            if key != "step" and value is not None
        ]
        self._events.add_event(Event(wall_time=time.time(), step=_step(row), summary=Summary(value=scalars)))
        self._events.flush()


def _step(row: Row) -> int:
    step = row["step"]
    assert step is not None, f"a row of metrics without a step: {row}"
    return int(step)


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None
