"""Files of problems as rows: JSONL, JSON, CSV, TSV and Parquet, each also gzipped.

A path in, numbered rows out. Text is UTF-8, with or without a byte order mark, with any line ends; what separates the
fields of CSV and TSV is read from the names of the columns. A line or row that cannot be read becomes a row with a
fault; only a file that cannot be read as a whole is an error.
"""

import contextlib
import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.errors import DataError
from ponder.files import is_pointer
from ponder.task.fault import RowFault, known_names

__all__ = ["KINDS", "Row", "is_table", "read_rows"]

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
"""The first bytes of such files."""
_DELIMITERS = (",", ";", "\t", "|")
_SAID = re.compile(r'"?sep=(.)"?\r?(?:\n|\Z)', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. Example: Row(number=1, values={"question": "2+3?", "answer": 5}). `values` is None where `fault` says
    why the row cannot be read."""

    number: int
    values: Mapping[str, Any] | None
    fault: str = ""


def is_table(path: Path) -> bool:
    """Whether `read_rows` reads files of such a name."""
    return _ending(path) in _READERS


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, told by its ending. DataError, naming the absolute path, if there is no such file or it
    is damaged or of another kind."""
    path = path.absolute()
    ending = _ending(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file ({KINDS}). {_beside(path, '')}")
    if not path.exists():
        raise DataError(f"There is no file {path}. {_missing(path)}")
    if ending not in _READERS:
        raise DataError(f"{path} ends in {ending or 'nothing'!r}; expected one of {KINDS}.")
    try:
        if is_pointer(path):
            raise DataError(f"{path} is a pointer of Git LFS in place of the file itself. Fetch it: `git lfs pull`.")
        content = path.read_bytes()
        if path.suffix.lower() == ".gz" or content.startswith(_GZIP):  # some are packed and not named so
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Fetch it again or check its permissions.") from error
    if content.startswith(_PARQUET) and ending != ".parquet":
        raise DataError(f"{path} is a Parquet file by its first bytes, and its name ends in {ending!r}: rename it.")
    return _READERS[ending](content, path)


def _ending(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _missing(path: Path) -> str:
    unset = [part for part in path.parts if part.startswith("$")]
    if unset:
        return f"The environment variable {unset[0]} is not set."
    if not path.parent.is_dir():
        return f"Its folder {path.parent} does not exist either; relative paths start at the working directory."
    return f"In that folder: {_beside(path.parent, path.name)}"


def _beside(folder: Path, wrong: str) -> str:
    names = [p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith(".")]
    return known_names(wrong, names) + "."


def _text(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it again in UTF-8."
        ) from error


def _jsonl(content: bytes, path: Path) -> list[Row]:
    try:  # line by line: the text as a whole would take four bytes for each of its characters
        rows = _lines(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=None))
    except UnicodeDecodeError:
        _text(content, path)  # says at which byte of the file
        raise
    if rows and all(row.values is None for row in rows) and content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        with contextlib.suppress(DataError):  # one list or object over several lines: JSON under another name
            return _json(content, path)
    return rows


def _lines(lines: Iterable[str]) -> list[Row]:
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = _loaded(line)
        except RowFault as fault:
            rows.append(Row(number=number, values=None, fault=str(fault)))
            continue
        except (ValueError, RecursionError) as error:
            rows.append(Row(number=number, values=None, fault=f"not JSON: {error}"))
            continue
        rows.append(_object(number, value))
    return rows


def _loaded(text: str) -> Any:
    """The value of a JSON text; RowFault where an object has a key twice, of which one would be dropped."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowFault(f"an object has the key {twice!r} twice")
    return found


def _object(number: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(number=number, values=value)
    return Row(number=number, values=None, fault=f"not a JSON object but {_name(value)}")


def _json(content: bytes, path: Path) -> list[Row]:
    text = _text(content, path)
    try:
        value = _loaded(text)
    except RowFault as fault:
        raise DataError(f"{path} cannot be read: {fault}. Rename one of them.") from fault
    except (ValueError, RecursionError) as error:
        lines = _lines(io.StringIO(text, newline=None))
        if len(lines) > 1 and lines[0].values is not None:  # one object per line: JSONL under another name
            return lines
        raise DataError(f"{path} is not JSON: {error}.") from error
    if isinstance(value, dict):
        value = _rows_inside(value, path)
    if not isinstance(value, list):
        raise DataError(f"{path} holds {_name(value)}; expected a list of objects, one per problem.")
    return [_object(number, item) for number, item in enumerate(value, start=1)]


def _rows_inside(value: dict[str, Any], path: Path) -> list[Any]:
    """The one list of objects in an object, or the columns of an object of lists turned into rows."""
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    tables = {name: rows for name, rows in lists.items() if rows and all(isinstance(row, dict) for row in rows)}
    if len(tables) == 1:
        return next(iter(tables.values()))
    if lists and len(lists) == len(value) and len({len(column) for column in lists.values()}) == 1:
        return [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    raise DataError(
        f"{path} holds one object with the keys {', '.join(value) or '(none)'}; expected a list of objects, an object "
        f"with one such list, or an object of columns of equal length."
    )


def _separated(usual: str) -> Callable[[bytes, Path], list[Row]]:
    def read(content: bytes, path: Path) -> list[Row]:
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        text, delimiter = _delimited(_text(content, path), usual)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            records = [(reader.line_num, record) for record in reader if record]
        except csv.Error as error:
            raise DataError(f"{path} is damaged at line {reader.line_num}: {error}.") from error
        if not records:
            return []
        names = [name.strip() for name in records[0][1]]
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise DataError(f"{path} has the column {twice[0]!r} more than once in its first line. Rename one of them.")
        rows = []
        for number, (line, record) in enumerate(records[1:], start=1):
            if len(record) == len(names):
                rows.append(Row(number=number, values=dict(zip(names, record, strict=True))))
            else:
                fault = f"{len(record)} fields (line {line}), but {len(names)} columns"
                rows.append(Row(number=number, values=None, fault=fault))
        return rows

    return read


def _delimited(text: str, usual: str) -> tuple[str, str]:
    """The text and its delimiter: the usual one, or else the first other that splits the names of the columns. A first
    line `sep=;`, as spreadsheets write it, says which it is and is no part of the table."""
    said = _SAID.match(text)
    if said is not None:
        return text[said.end() :], said[1]
    others = [delimiter for delimiter in _DELIMITERS if delimiter != usual]
    return text, next((one for one in (usual, *others) if len(_first_record(text, one)) > 1), usual)


def _first_record(text: str, delimiter: str) -> list[str]:
    try:
        return next((record for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if record), [])
    except csv.Error:
        return []  # damaged: reading it whole says so


def _parquet(content: bytes, path: Path) -> list[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet file: {error}.") from error
    return [Row(number=number, values=_texts(values)) for number, values in enumerate(table.to_pylist(), start=1)]


def _texts(value: Any) -> Any:
    """The value with bytes as the text that they spell; those that spell none, such as images, are named as what they
    are, so that a column with them is not an empty one."""
    match value:
        case bytes():
            try:
                return value.decode("utf-8")
            except UnicodeDecodeError:
                return f"({len(value):,} bytes that are no text)" if value else None
        case dict():
            return {key: _texts(one) for key, one in value.items()}
        case list():
            return [_texts(one) for one in value]
    return value


def _name(value: object) -> str:
    return {list: "a list", dict: "an object", str: "a text", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


_READERS: dict[str, Callable[[bytes, Path], list[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
}

KINDS = ", ".join(_READERS) + ", each also with .gz"
"""The endings of the files that are read, for messages."""
