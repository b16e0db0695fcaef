"""Rows that a stage does not use: counted and shown in part, listed whole in `left_out.jsonl` of the stage's folder."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ponder.files import write_bytes
from ponder.stages.context import Context
from ponder.task.fault import LeftOut
from ponder.watch.lines import dump_line

__all__ = ["LEFT_OUT_FILE", "list_left_out"]

LEFT_OUT_FILE = "left_out.jsonl"
_SHOWN = 10


def list_left_out(context: Context[Any], rows: Sequence[LeftOut], of: str = "") -> None:
    """Write all of them, one object a line with `source`, `row` and `reason`, and say the first ones. Without any the
    file of an earlier session goes. Rows of something else than what is trained on have a file of their own: `of` is
    its name in one word, such as "held-out"."""
    path = context.folder / (f"{of.replace('-', '_')}_{LEFT_OUT_FILE}" if of else LEFT_OUT_FILE)
    if not rows:
        path.unlink(missing_ok=True)
        return
    write_bytes(path, b"".join(dump_line(asdict(row)) for row in rows))
    what = f"{of} rows" if of else "rows"
    context.say(f"{context.name}: {len(rows):,} {what} left out, listed in {path}")
    for row in rows[:_SHOWN]:
        context.say(f"{context.name}: left out: {row.source} row {row.row}: {row.reason}")
