"""Files as rows: every kind, and everything that can be wrong with one."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ponder.errors import DataError
from ponder.task.table import read_rows

ROWS: list[dict[str, Any]] = [
    {"question": "2+3?", "answer": 5, "note": 'a,"b"\n等等'},
    {"question": "1/2?", "answer": 0.5, "note": None},
]
TEXT = b'question,answer,note\r\n2+3?,5,"a,""b""\n\xe7\xad\x89\xe7\xad\x89"\r\n1/2?,0.5,\r\n'


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_json_lines(tmp_path: Path, gz: str, mark: bytes, end: str) -> None:
    text = end.join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    rows = read_rows(write(tmp_path / f"a.jsonl{gz}", mark + text.encode()))
    assert [row.values for row in rows] == ROWS
    assert [row.number for row in rows] == [1, 2]


def test_json_lines_with_bad_lines_and_unicode_line_ends(tmp_path: Path) -> None:
    lines = ['{"a": "x\u2028y"}', "", "{bad", "[1]", "3", '{"a": 1}', '{"a": ' + "9" * 5000 + "}", "[" * 100_000]
    rows = read_rows(write(tmp_path / "a.jsonl", "\n".join(lines).encode()))
    assert [(row.number, row.values is None) for row in rows] == [
        (1, False), (3, True), (4, True), (5, True), (6, False), (7, True), (8, True)
    ]  # fmt: skip
    assert rows[0].values == {"a": "x\u2028y"}
    assert "not JSON" in rows[1].fault and "a list" in rows[2].fault and "a number" in rows[3].fault


def test_json_lines_take_little_more_memory_than_their_file(tmp_path: Path) -> None:
    """Text as a whole takes four bytes for each character, and more where one of them is Chinese."""
    line = json.dumps({"thinking": "so it is " * 2000, "answer": "42"}) + "\n"
    path = write(tmp_path / "a.jsonl", (line * 200 + '{"thinking": "等"}\n').encode())
    tracemalloc.start()
    rows = read_rows(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 201 and peak < 3 * path.stat().st_size


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        {"data": ROWS},
        {"version": 1, "names": ["x"], "rows": ROWS},
        {name: [row[name] for row in ROWS] for name in ROWS[0]},
    ],
)
def test_json(tmp_path: Path, value: Any) -> None:
    assert [row.values for row in read_rows(write(tmp_path / "a.json", json.dumps(value).encode()))] == ROWS


def test_json_that_is_lines(tmp_path: Path) -> None:
    text = "\n".join(map(json.dumps, ROWS))
    assert [row.values for row in read_rows(write(tmp_path / "a.json", text.encode()))] == ROWS


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_under_the_name_of_lines(tmp_path: Path, indent: int | None, mark: bytes) -> None:
    for value in (ROWS, {"data": ROWS}):
        if indent is None and isinstance(value, dict):
            continue  # an object in one line is a row
        content = mark + json.dumps(value, indent=indent).encode()
        assert [row.values for row in read_rows(write(tmp_path / "a.jsonl", content))] == ROWS
    rows = read_rows(write(tmp_path / "a.jsonl", b"[1]\n[2]\n"))
    assert [row.fault for row in rows] == ["not a JSON object but a list"] * 2


def test_packed_files_that_are_not_named_so(tmp_path: Path) -> None:
    for name, content in (("a.csv", TEXT), ("a.jsonl", b'{"question": "2+3?"}\n')):
        (tmp_path / name).write_bytes(gzip.compress(content))
        values = read_rows(tmp_path / name)[0].values
        assert values is not None and values["question"] == "2+3?"


def test_keys_that_stand_twice(tmp_path: Path) -> None:
    rows = read_rows(
        write(tmp_path / "a.jsonl", b'{"a": 1, "a": 2}\n{"a": {"b": 1, "b": 1}}\n{"a": 1, "b": {"a": 1}}\n')
    )
    assert [row.fault for row in rows] == ["an object has the key 'a' twice", "an object has the key 'b' twice", ""]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv(tmp_path: Path, name: str, mark: bytes) -> None:
    rows = read_rows(write(tmp_path / name, mark + TEXT))
    assert [row.values for row in rows] == [
        {"question": "2+3?", "answer": "5", "note": 'a,"b"\n等等'},
        {"question": "1/2?", "answer": "0.5", "note": ""},
    ]


def test_tsv_and_long_fields(tmp_path: Path) -> None:
    long = "x" * 300_000
    rows = read_rows(write(tmp_path / "a.tsv", f"a\tb\n{long}\t2\n".encode()))
    assert rows[0].values == {"a": long, "b": "2"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_other_delimiters(tmp_path: Path, name: str, delimiter: str) -> None:
    """Spreadsheets write those of the country they are in."""
    table = 'question@"the answer"@notes, more\n"2@3; 4,5|6\t7"@5@x,y\n\n8@9@\n'
    if delimiter in ",":
        table = table.replace("notes, more", '"notes, more"').replace("x,y", '"x,y"')
    expected = [
        {"question": f"2{delimiter}3; 4,5|6\t7", "the answer": "5", "notes, more": "x,y"},
        {"question": "8", "the answer": "9", "notes, more": ""},
    ]
    for said in ("", f"sep={delimiter}\r\n", f'"sep={delimiter}"\n'):
        if not said and delimiter != {"a.csv": ",", "a.tsv": "\t"}[name]:
            table = table.replace("notes, more", "notes").replace('"notes"', "notes")
            expected = [{key.partition(",")[0]: value for key, value in row.items()} for row in expected]
        content = ("\ufeff" + said + table.replace("@", delimiter)).encode()
        assert [row.values for row in read_rows(write(tmp_path / name, content))] == expected


def test_one_column_is_split_by_nothing(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "a.csv", b'question\n"2;3, 4|5?"\n"a\nb"\n'))
    assert [row.values for row in rows] == [{"question": "2;3, 4|5?"}, {"question": "a\nb"}]
    assert read_rows(write(tmp_path / "a.csv", b'"a;b"\n1\n'))[0].values == {"a;b": "1"}
    assert read_rows(write(tmp_path / "a.csv", b"sep=;")) == []


def test_columns_without_a_name(tmp_path: Path) -> None:
    """As spreadsheets write them beside a table, and data frames for their index."""
    rows = read_rows(write(tmp_path / "a.csv", b",question,answer,,\n0,2+3?,5,,\n"))
    assert rows[0].values is not None and rows[0].values["question"] == "2+3?" and rows[0].values["answer"] == "5"


def test_csv_with_ragged_rows(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "a.csv", b"a,b\n1,2\n1\n\n1,2,3\n5,6\n"))
    assert [(row.number, row.values is None) for row in rows] == [(1, False), (2, True), (3, True), (4, False)]
    assert rows[1].fault == "1 fields (line 3), but 2 columns"


def test_bytes_of_parquet_are_texts(tmp_path: Path) -> None:
    row = {"answer": "等".encode(), "image": b"\xff\xd8", "turns": [{"content": b"2+3?"}]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
    (read,) = read_rows(tmp_path / "a.parquet")
    assert read.values == {"answer": "等", "image": "(2 bytes that are no text)", "turns": [{"content": "2+3?"}]}


@pytest.mark.parametrize("name", ["a.parquet", "a.parquet.gz"])
def test_parquet(tmp_path: Path, name: str) -> None:
    plain = tmp_path / "plain.parquet"
    table = [{"q": "2+3?", "nums": [2, 3], "inner": {"gold": "5"}}, {"q": None, "nums": None, "inner": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), plain)
    assert [row.values for row in read_rows(write(tmp_path / name, plain.read_bytes()))] == table


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"a,a\n1,2\n", "column 'a' more than once"),
        ("a.csv", b'a,b\n"1,2\n', "damaged at line"),
        ("a.csv", "a\né\n".encode("latin-1"), "not UTF-8"),
        ("a.jsonl", '{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ("a.json", b"{bad", "not JSON"),
        ("a.json", b"3", "holds a number"),
        ("a.json", b'{"a": 1}', "one object with the keys a"),
        ("a.json", b'{"a": [1], "b": [1, 2]}', "one object with the keys a, b"),
        ("a.parquet", b"PAR1", "cannot be read as a Parquet file"),
        ("a.jsonl", b"PAR1\x15\x04", "is a Parquet file by its first bytes, and its name ends in '.jsonl'"),
        ("a.json", b'[{"a": 1, "b": 2, "a": 3}]', "an object has the key 'a' twice"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "a pointer of Git LFS"),
        ("a.xlsx", b"", "ends in '.xlsx'; expected one of .jsonl"),
        ("data", b"", "ends in 'nothing'"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path / name, content))


def test_torn_gzip(tmp_path: Path) -> None:
    for content in (gzip.compress(b"{}" * 1000)[:-9], b"not gzip"):
        (tmp_path / "a.jsonl.gz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            read_rows(tmp_path / "a.jsonl.gz")


def test_a_name_without_an_ending_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*nope"):
        read_rows(tmp_path / "nope")


def test_missing_file_names_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "train.jsonl", b"{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        read_rows(Path("trian.jsonl"))
    assert str(tmp_path / "trian.jsonl") in str(caught.value)
    assert "Did you mean 'train.jsonl'" in str(caught.value)
    with pytest.raises(DataError, match=r"folder .* does not exist"):
        read_rows(tmp_path / "no" / "train.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read_rows(tmp_path)
    with pytest.raises(DataError, match=r"variable \$NOWHERE is not set"):
        read_rows(Path("$NOWHERE/train.jsonl"))


def test_empty_files_have_no_rows(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl"):
        assert read_rows(write(tmp_path / name, b"")) == []
