"""Rows with what JSON has no form for are written all the same, by both commands that copy rows."""

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ponder.evaluation.decontaminate_command import decontaminate_command
from ponder.evaluation.verify_command import verify_command
from ponder.task.plain import plain_json

COLUMNS = {
    "when": [datetime(2026, 3, 1, 12, 30, tzinfo=UTC), None],
    "day": [date(2026, 3, 1), date(1, 1, 1)],
    "at": [time(1, 2, 3), None],
    "took": [timedelta(seconds=90), None],
    "price": [Decimal("1.50"), Decimal("7.00")],
    "raw": [b"\x00\xff", b""],
    "share": [float("nan"), float("inf")],
    "nested": [{"when": [datetime(2026, 1, 1)]}, {"when": []}],
    "gold": ["5", "7"],
    "answer": ["The answer is 5.", "The answer is 8."],
}
PLAIN = {
    "when": ["2026-03-01T12:30:00+00:00", None],
    "day": ["2026-03-01", "0001-01-01"],
    "at": ["01:02:03", None],
    "took": ["0:01:30", None],
    "price": ["1.50", "7.00"],
    "raw": ["(2 bytes that are no text)", ""],
    "share": [None, None],
    "nested": [{"when": ["2026-01-01T00:00:00"]}, {"when": []}],
    "gold": ["5", "7"],
    "answer": ["The answer is 5.", "The answer is 8."],
}
ROWS = [dict(zip(PLAIN, row, strict=True)) for row in zip(*PLAIN.values(), strict=True)]


def strict(path: Path) -> list[object]:
    """The rows of a file by a reader that knows no NaN."""
    return [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in path.read_text().splitlines()]


def test_verify_copies_every_column(tmp_path: Path) -> None:
    table, out = tmp_path / "t.parquet", tmp_path / "out.jsonl"
    pq.write_table(pa.table(COLUMNS), table)  # type: ignore[no-untyped-call]
    totals = verify_command(table, kind="math", gold="gold", answer="answer", out=out, workers=1)
    assert (totals.outcomes["right"], totals.outcomes["wrong"]) == (1, 1)
    added = ("verdict", "reason", "score")
    rows = strict(out)
    assert [{k: v for k, v in row.items() if k not in added} for row in rows if isinstance(row, dict)] == ROWS
    by_price = verify_command(table, kind="math", gold="gold", answer="price", out=out, workers=1)
    assert by_price.outcomes["right"] == 1


def test_decontaminate_copies_every_column(tmp_path: Path) -> None:
    table, out, benchmark = tmp_path / "t.parquet", tmp_path / "out.jsonl", tmp_path / "b.jsonl"
    pq.write_table(pa.table(COLUMNS), table)  # type: ignore[no-untyped-call]
    benchmark.write_text(json.dumps({"prompt": "one two three four five six seven eight nine ten", "answer": "1"}))
    decontaminate_command(table, [str(benchmark)], out=out)
    assert strict(out) == ROWS


def test_what_json_has_is_kept() -> None:
    assert plain_json({"raw": b"\x00\xff"}) == '{"raw": "AP8="}'
    row = {"a": [1, 2.5, True, None, "\u6f22"], "b": {"c": 10**30}}
    assert plain_json(row) == json.dumps(row, ensure_ascii=False)
    assert plain_json(row, ascii_only=True) == json.dumps(row)
