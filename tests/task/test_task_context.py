"""What rows hold beside the question: read where it is named, left out and counted where it is not."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ponder.errors import DataError
from ponder.recipe.examples import FileExamples
from ponder.recipe.problems import FileProblems
from ponder.recipe.reward_model import FilePreferences
from ponder.records import Message
from ponder.task import load_problems
from ponder.task.examples import load_examples
from ponder.task.preference import load_pairs

GOOD = {"q": "good", "a": "4", "worse": "3"}
TALK = [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": "5"}]
BESIDE: list[tuple[str, Any]] = [
    ("input", "Hallo"),
    ("context", ["a", "b"]),
    ("passage", "There were two."),
    ("system", "Be brief."),
    ("system_prompt", "Be brief."),
    ("history", [["q", "a"]]),
    ("history", '[["q", "a"]]'),
    ("tools", [{"name": "f"}]),
    ("image", "a.png"),
    ("documents", [{"title": "x"}]),
    ("chat_template_kwargs", {"enable_thinking": False}),
]
EMPTY = ("", " ", None, [], {}, "[]", "null")


def written(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(folder: Path, *rows: dict[str, Any], **columns: Any) -> list[tuple[list[tuple[Message, ...]], list[str]]]:
    """Prompts and reasons, read as examples, as problems and as pairs."""
    path = written(folder, *rows)
    examples = FileExamples(path=path, columns={"prompt": "q", "response": "a"} | columns)  # type: ignore[arg-type]
    problems = FileProblems(path=path, columns={"prompt": "q", "answer": "a"} | columns)  # type: ignore[arg-type]
    pairs = FilePreferences(
        path=path,
        columns={"prompt": "q", "chosen": "a", "rejected": "worse"} | columns,  # type: ignore[arg-type]
    )
    learnt, asked, preferred = load_examples([examples], {}), load_problems([problems]), load_pairs([pairs], {})
    return [
        ([one.example.messages for one in learnt.examples], [one.reason for one in learnt.left_out]),
        ([one.messages for one in asked.problems], [one.reason for one in asked.left_out]),
        ([one.messages for one in preferred.rows], [one.reason for one in preferred.left_out]),
    ]


def test_tools_of_no_conversation_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`tools` names the column 'tools', and tools are called in a conversation"):
        FileExamples(path=written(tmp_path, GOOD), columns={"prompt": "q", "response": "a", "tools": "tools"})  # type: ignore[arg-type]


def test_what_tools_and_pictures_are_told(tmp_path: Path) -> None:
    for name in ("tools", "image"):
        for _, (reason, *_) in read(tmp_path, GOOD | {name: "x"}, GOOD | {"q": "another"}):
            assert "tools are by `columns.tools`" in reason and "`columns.ignored`" in reason
            assert "`columns.context`" not in reason


def test_a_picture_in_bytes_is_no_empty_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({"prompt": ["What is in it?", "2+2?"], "answer": ["3", "4"], "image": [b"\x89PNG", None]}), path
    )
    loaded = load_problems([FileProblems(path=str(path))])
    assert [one.prompt for one in loaded.problems] == ["2+2?"]
    assert "'image' holds '(4 bytes that are no text)'" in loaded.left_out[0].reason


@pytest.mark.parametrize(("name", "value"), BESIDE)
def test_what_is_not_read_is_left_out_and_named(name: str, value: Any, tmp_path: Path) -> None:
    for prompts, reasons in read(tmp_path, {"q": "2+3?", "a": "5", "worse": "6", name: value}, GOOD):
        assert prompts == [(Message(role="user", content="good"),)]
        assert (
            len(reasons) == 1 and reasons[0].startswith(f"column {name!r} holds") and "`columns.ignored`" in reasons[0]
        )


@pytest.mark.parametrize("value", EMPTY)
def test_what_is_empty_changes_nothing(value: Any, tmp_path: Path) -> None:
    row = {"q": "2+3?", "a": "5", "worse": "6"} | {name: value for name, _ in BESIDE}
    for columns in ({}, {"context": ["input", "context"], "system": "system"}):
        for prompts, reasons in read(tmp_path, row, **columns):
            assert prompts == [(Message(role="user", content="2+3?"),)] and not reasons


def test_what_is_named_is_read(tmp_path: Path) -> None:
    rows = [
        {
            "q": "Translate.",
            "a": "5",
            "worse": "6",
            "input": "Hallo",
            "meta": {"note": " Please. "},
            "system": "Be brief.",
        },
        {"q": "Count.", "a": "5", "worse": "6", "input": "", "meta": {"note": None}, "system": None},
    ]
    for prompts, reasons in read(tmp_path, *rows, context=["input", "meta.note"], system="system"):
        assert not reasons
        assert prompts == [
            (
                Message(role="system", content="Be brief."),
                Message(role="user", content="Translate.\n\nHallo\n\nPlease."),
            ),
            (Message(role="user", content="Count."),),
        ]


def test_what_is_ignored_is_not_read(tmp_path: Path) -> None:
    row = {"q": "2+3?", "a": "5", "worse": "6", "tools": [1], "system": "Be brief."}
    for prompts, reasons in read(tmp_path, row, ignored=["tools", "system", "input"]):
        assert prompts == [(Message(role="user", content="2+3?"),)] and not reasons


def test_columns_that_are_read_as_something_else(tmp_path: Path) -> None:
    path = written(tmp_path, {"input": {"text": "2+3?"}, "context": "5"})
    (one,) = load_examples(
        [FileExamples(path=path, columns={"prompt": "input.text", "response": "context"})], {}
    ).examples  # type: ignore[arg-type]
    assert (one.example.messages[0].content, one.example.answer) == ("2+3?", "5")


def test_a_system_turn_beside_a_conversation(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be kind."}, *TALK]
    path = written(tmp_path, {"m": TALK, "system": "Be brief."}, {"m": talk, "system": "Be brief."}, {"m": talk})
    loaded = load_examples([FileExamples(path=path, columns={"messages": "m", "system": "system"})], {})  # type: ignore[arg-type]
    assert [one.example.messages[0].content for one in loaded.examples] == ["Be brief."]
    assert "stands both in column 'system' and in the conversation" in loaded.left_out[0].reason
    assert "column 'system' is missing" in loaded.left_out[1].reason
    with pytest.raises(DataError, match=r"column 'system' holds 'Be brief\.'"):
        load_examples(
            [FileExamples(path=written(tmp_path, {"m": TALK, "system": "Be brief."}), columns={"messages": "m"})], {}
        )  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["context", "system"])
def test_a_column_that_no_row_has(field: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"no column 'inptu', which `columns.{field}` names"):
        read(tmp_path, GOOD | {"input": "x"}, **{field: ["inptu"] if field == "context" else "inptu"})


def test_context_belongs_to_a_prompt() -> None:
    with pytest.raises(ValueError, match="with `messages` the conversation is whole"):
        FileExamples(path="x.jsonl", columns={"messages": "m", "context": ["input"]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ({"weight": 0}, "marked as not to be learnt ('weight': 0)"),
        ({"train": False}, "marked as not to be learnt ('train': False)"),
        ({"train": "false", "weight": 1}, "marked as not to be learnt"),
        ({"weight": 0.3}, "column 'weight' holds 0.3; expected 0 or 1"),
        ({"train": "test"}, "column 'train' holds 'test'; expected 0 or 1"),
    ],
)
def test_rows_that_are_not_to_be_learnt(mark: dict[str, Any], reason: str, tmp_path: Path) -> None:
    for row, columns in (({"m": TALK}, {"messages": "m"}), ({"q": "2+3?", "a": "5"}, {"prompt": "q", "response": "a"})):
        source = FileExamples(path=written(tmp_path, row | mark, row), columns=columns)  # type: ignore[arg-type]
        found = load_examples([source], {})
        assert len(found.examples) == 1 and reason in found.left_out[0].reason
        source = FileExamples(path=source.path, columns=columns | {"ignored": list(mark)})  # type: ignore[arg-type]
        assert len(load_examples([source], {}).examples) == 2
