"""`ponder decontaminate`: which rows of a file share ten words in a row with a benchmark, and the file without them.

Rows are read one by one from JSONL, so that memory does not grow with the file; other kinds of table are read whole.
"""

import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.errors import DataError, RecipeError
from ponder.evaluation.contamination import benchmark_index, manifest
from ponder.evaluation.decontaminate import Overlap, OverlapIndex
from ponder.files import replacing, write_json
from ponder.task.fault import known_names
from ponder.task.plain import plain_json
from ponder.task.table import read_rows

__all__ = ["decontaminate_command"]

_SHOWN = 20
_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")

Line = tuple[int, Any]
"""A row's number and its JSON value."""


def decontaminate_command(
    file: Path, benchmarks: Sequence[str], *, text: str | None = None, out: Path | None = None, as_json: bool = False
) -> None:
    """Print how many rows overlap, and which. `text` is the field to look at, by default every text of a row. `out`
    gets the other rows as JSONL, and beside it `<out>.decontamination.json` the list.

    A row that is no JSON object is kept out of `out` as well, counted, and listed on stderr.
    """
    if not benchmarks:
        raise RecipeError(
            "ponder decontaminate needs at least one --benchmark NAME or FILE: give those that the model will be "
            "measured on."
        )
    if out is not None and out.exists() and out.samefile(file):
        raise DataError(f"The output would overwrite {str(file)!r} while it is read: give --out another file.")
    if not file.is_file():
        read_rows(file)  # says what is wrong with it, before benchmarks are fetched
    index = benchmark_index(benchmarks)
    if out is None:
        report = _scan(file, index, text, None)
    else:
        with replacing(out) as kept:
            report = _scan(file, index, text, kept)
        write_json(out.with_name(f"{out.name}.decontamination.json"), report)
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=2))
        return
    print(
        f"{report['texts']:,} rows: {report['kept']:,} kept, {len(report['left_out']):,} share words with a benchmark"
    )
    for one in report["left_out"][:_SHOWN]:
        print(f"{one['text']}: {one['ngram']!r} stands in {one['id']} of {one['benchmark']}")
    if len(report["left_out"]) > _SHOWN:
        print(f"and {len(report['left_out']) - _SHOWN:,} more; --json or --out lists all of them")


def _scan(file: Path, index: OverlapIndex, field: str | None, kept: Any) -> dict[str, Any]:
    left_out: list[tuple[str, Overlap]] = []
    rows = faults = 0
    seen: dict[str, None] = {}
    found_field = field is None
    for number, value in _rows(file):
        if not isinstance(value, Mapping):
            faults += 1
            print(f"row {number} left out: it is no JSON object", file=sys.stderr)
            continue
        rows += 1
        if not found_field:
            found_field = field in value
            seen.update(dict.fromkeys(map(str, value)))
        texts = _texts(value if field is None else value.get(field))
        overlap = next((one for text in texts if (one := index.find(text)) is not None), None)
        if overlap is not None:
            left_out.append((f"row {number}", overlap))
        elif kept is not None:
            kept.write((plain_json(value) + "\n").encode("utf-8", "surrogatepass"))
    if not rows:
        raise DataError(f"{str(file)!r} has no row that can be read ({faults} are no JSON objects). Check the file.")
    if not found_field:
        raise DataError(f"No row of {str(file)!r} has the field {field!r}. {known_names(str(field), seen)}.")
    return manifest(index, rows, left_out) | {"unreadable": faults}


def _rows(file: Path) -> Iterator[Line]:
    if not file.name.lower().endswith(_LINES) or not file.is_file():  # read_rows says what is wrong with a path
        yield from ((row.number, row.values) for row in read_rows(file))
        return
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield number, json.loads(line.decode("utf-8-sig"))
                except (ValueError, RecursionError):
                    yield number, None


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value, each by itself: words are not counted across fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
