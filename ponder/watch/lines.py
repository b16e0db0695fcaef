"""Files of JSON lines that survive being killed: whole lines only, cut back to a step, read while still written.

Every line is one object with a whole number under `step`, and steps never fall along a file.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ponder.errors import RunFolderError

__all__ = ["cut_after", "dump_line", "read_lines", "repair"]


def dump_line(value: object) -> bytes:
    """The value as one line of JSON; NaN and infinities raise ValueError, since JSON has none."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Byte offset and object of each whole line; a last line without its newline is still being written: left out."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield offset, _value(path, offset, line)
            offset += len(line)


def _value(path: Path, offset: int, line: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise RunFolderError(
            f"{path} is damaged: at byte {offset} stands {line[:40]!r} where one JSON object per line is "
            "expected. Mend or remove that line, or start the stage anew with --redo."
        ) from error
    return value


def repair(path: Path) -> None:
    """Drop what a killed process left of its last line."""
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def cut_after(path: Path, step: int) -> None:
    """Drop every line of a later step than `step`, and a last line without its newline.

    Steps never fall along a file, so the cut is found by halving: some dozens of lines are read, however many there
    are.
    """
    with path.open("rb+") as file:
        before, after = 0, file.seek(0, os.SEEK_END)  # lines that start before `before` stay, from `after` on they go
        while before < after:
            middle = (before + after) // 2
            start, line = _line_from(file, middle)
            if line.endswith(b"\n") and _value(path, start, line)["step"] <= step:
                before = start + len(line)
            else:
                after = middle
        file.truncate(before)


def _line_from(file: BinaryIO, offset: int) -> tuple[int, bytes]:
    """The first line that starts at `offset` or later, and where; empty at the end of the file."""
    file.seek(max(0, offset - 1))
    if offset > 0:
        file.readline()  # ends at `offset`, or is the rest of a line that starts before
    return file.tell(), file.readline()
