"""Examples from every source: what is read, what is left out and why, and each mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ponder.errors import DataError, PonderError
from ponder.recipe.examples import FileExamples, HubExamples, MicroExamples, StageExamples
from ponder.records import Example, Message, to_json
from ponder.task.example_row import split_response
from ponder.task.examples import EXAMPLES_FILE, LoadedExamples, load_examples
from ponder.task.fault import RowFault


def written(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def loaded(folder: Path, rows: list[Any], **settings: Any) -> LoadedExamples:
    source = FileExamples.model_validate({"path": written(folder, rows), "name": "rows"} | settings)
    return load_examples([source], {})


def turn(role: str, content: str, **more: str) -> dict[str, str]:
    return {"role": role, "content": content} | more


GOOD = {"prompt": "2+3?", "response": "<think>\n2+3 is 5\n</think>\n\nIt is 5."}


@pytest.mark.parametrize(
    ("text", "answer_tags", "thinking", "answer"),
    [
        ("It is 5.", False, None, "It is 5."),
        ("<think>\na\n</think>\n\n5", False, "a", "5"),
        ("<think>\n\n</think>\n\n5", False, "", "5"),
        ("a\n</think>\n5", False, "a", "5"),  # the opening tag stood in the prompt
        ("<think>a</think><answer>5</answer>", False, "a", "<answer>5</answer>"),
        (" <think>a</think> <answer>5</answer>", True, "a", "5"),
        ("a</think> <answer>5</answer>", True, "a", "5"),
        ("<answer>5</answer>", True, None, "5"),
        ("1 < 2 and <b>bold</b>", False, None, "1 < 2 and <b>bold</b>"),
    ],
)
def test_responses_are_taken_apart(text: str, answer_tags: bool, thinking: str | None, answer: str) -> None:
    assert split_response(text, answer_tags=answer_tags) == (thinking, answer)


@pytest.mark.parametrize(
    ("text", "answer_tags", "reason"),
    [
        ("<think>a", False, "</think> is missing"),
        ("<think>a</think>", False, "there is no answer"),
        ("x <think>a</think>5", False, "text before <think>"),
        ("<think>a</think>5<think>b</think>6", False, "more than once"),
        ("a</think>5</think>6", False, "more than once"),
        ("<think>a</think>5", True, "outside the tags"),
        ("<think>a</think><answer>5", True, "</answer> is missing"),
    ],
)
def test_tags_that_do_not_fit_together(text: str, answer_tags: bool, reason: str) -> None:
    with pytest.raises(RowFault, match=reason):
        split_response(text, answer_tags=answer_tags)


def test_prompt_and_response(tmp_path: Path) -> None:
    rows = [GOOD | {"lang": "en", "key": "a"}, {"prompt": "你好", "response": "你好！", "lang": "zh", "key": 7}]
    found = loaded(tmp_path, rows, columns={"language": "lang", "id": "key"}, domain="talk", weight=2.0)
    assert [entry.example for entry in found.examples] == [
        Example(
            id="rows/a", messages=(Message(role="user", content="2+3?"),), thinking="2+3 is 5", answer="It is 5.",
            domain="talk", language="en", origin="rows",
        ),
        Example(
            id="rows/7", messages=(Message(role="user", content="你好"),), thinking=None, answer="你好！",
            domain="talk", language="zh", origin="rows",
        ),
    ]  # fmt: skip
    assert found.weights == {"rows": 2.0} and found.left_out == ()


def test_thinking_in_a_column_of_its_own(tmp_path: Path) -> None:
    rows = [
        {"prompt": "q", "response": "5", "cot": "so 5"},
        {"prompt": "q", "response": "5", "cot": None},
        {"prompt": "q", "response": "<think>x</think>5", "cot": "so 5"},
    ]
    found = loaded(tmp_path, rows, columns={"thinking": "cot"})
    assert [entry.example.thinking for entry in found.examples] == ["so 5", None]
    assert "both in column 'cot' and in 'response'" in found.left_out[0].reason


CONVERSATION = [
    turn("system", "Be brief."),
    turn("user", "q1"),
    turn("assistant", "<think>a</think>r1"),
    turn("user", "q2"),
    turn("assistant", "<think>b</think>r2"),
]


def test_the_last_turn_is_learnt(tmp_path: Path) -> None:
    found = loaded(tmp_path, [{"talk": CONVERSATION}], columns={"messages": "talk"})
    (entry,) = found.examples
    assert (entry.example.id, entry.example.thinking, entry.example.answer) == ("rows/1", "b", "r2")
    assert [message.role for message in entry.example.messages] == ["system", "user", "assistant", "user"]


def test_every_turn_is_learnt_where_asked_for(tmp_path: Path) -> None:
    found = loaded(tmp_path, [{"talk": CONVERSATION}], columns={"messages": "talk"}, turns="every")
    assert [(e.example.id, e.example.thinking, e.example.answer, len(e.example.messages)) for e in found.examples] == [
        ("rows/1/1", "a", "r1", 2),
        ("rows/1/2", "b", "r2", 4),
    ]


def test_thinking_beside_the_content_of_a_turn(tmp_path: Path) -> None:
    rows = [{"m": [turn("user", "q"), turn("assistant", "5", reasoning_content="so 5")]}]
    columns = {"messages": "m", "thinking": "reasoning_content"}
    assert loaded(tmp_path, rows, columns=columns).examples[0].example.thinking == "so 5"
    with pytest.raises(DataError, match=r"thinking under 'reasoning_content', which `columns.thinking` does not name"):
        loaded(tmp_path, rows, columns={"messages": "m"})


def test_thinking_in_a_column_that_nobody_named(tmp_path: Path) -> None:
    """Learnt without it, the model would be taught not to think."""
    rows = [{"prompt": "2+3?", "response": "5", "reasoning_content": "so 5"}]
    with pytest.raises(DataError, match=r"thinking in column 'reasoning_content', which `columns.thinking` does not"):
        loaded(tmp_path, rows, columns={})
    assert loaded(tmp_path, rows, columns={"thinking": "reasoning_content"}).examples[0].example.thinking == "so 5"
    assert loaded(tmp_path, rows, columns={"ignored": ["reasoning_content"]}).examples[0].example.thinking is None
    rows = [{"prompt": "2+3?", "response": "<think>five</think>5", "reasoning": "as measured"}]
    assert loaded(tmp_path, rows, columns={}).examples[0].example.thinking == "five"


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        ([turn("user", "q")], "ends with a turn of 'user'"),
        ([turn("assistant", "r")], "a response to no user's turn"),
        ([turn("user", "q"), turn("assistant", "r"), turn("assistant", "s")], "a response to no user's turn"),
        ([turn("user", "q"), turn("tool", "x"), turn("assistant", "r")], "a turn of 'tool'"),
        ([{"from": "human", "value": "q"}], "ends with a turn of 'user'"),
        ([{"speaker": "human", "says": "q"}], "expected a list of {role, content}"),
        ("q", "expected a list"),
        ([], "expected a list"),
        ([turn("user", "q"), turn("assistant", "<think>a")], "</think> is missing"),
        ([turn("user", "q"), {"role": "assistant", "content": None}], "column 'm' is empty"),
        ([turn("user", "q"), {"role": "assistant", "content": [3]}], "has a part 3"),
    ],
)
def test_conversations_that_teach_nothing(tmp_path: Path, talk: Any, reason: str) -> None:
    rows = [{"m": talk}, {"m": [turn("user", "q"), turn("assistant", "r")]}]
    found = loaded(tmp_path, rows, columns={"messages": "m"})
    assert len(found.examples) == 1
    assert (found.left_out[0].row, reason in found.left_out[0].reason) == (1, True), found.left_out


def test_rows_left_out_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = ["{", "[1]", '{"prompt": "q"}', '{"prompt": "", "response": "5"}', '{"prompt": "q", "response": 5}']
    path.write_text("\n".join(lines) + "\n")
    found = load_examples([FileExamples(path=str(path))], {})
    assert [entry.example.answer for entry in found.examples] == ["5"]
    assert [entry.row for entry in found.left_out] == [1, 2, 3, 4]
    for entry, reason in zip(found.left_out, ("not JSON", "not a JSON object", "'response' is missing", "'prompt' is"),
                             strict=True):  # fmt: skip
        assert reason in entry.reason


def test_tables_of_other_kinds(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('prompt,response\n2+3?,"<think>a</think>5"\n')
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([GOOD]), tmp_path / "rows.parquet")
    found = load_examples([FileExamples(path=str(tmp_path / f"rows.{kind}")) for kind in ("csv", "parquet")], {})
    assert [entry.example.answer for entry in found.examples] == ["5", "It is 5."]


def example(number: int) -> Example:
    return Example(
        id=f"e{number}", messages=(Message(role="user", content=f"q{number}"),), thinking="t", answer="a", domain="d",
        language="zh", origin="o",
    )  # fmt: skip


def test_whole_examples_from_a_stage_and_from_a_file(tmp_path: Path) -> None:
    rows = [to_json(example(1)), to_json(example(2))]
    path = written(tmp_path, rows, EXAMPLES_FILE)
    sources = (StageExamples(stage="kept"), FileExamples(path=path, form="examples"), StageExamples(stage="kept"))
    found = load_examples(sources, {"kept": tmp_path})
    assert [entry.example for entry in found.examples] == [example(1), example(2)] * 3
    assert list(found.weights) == ["kept", f"{tmp_path.name}/examples", "kept-2"]


def test_a_file_is_read_as_examples_only_where_it_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, [to_json(example(1))])
    with pytest.raises(DataError, match="has no column 'prompt'"):
        load_examples([FileExamples(path=path)], {})
    with pytest.raises(DataError, match="no example as `sample` stages write it: id: Field required"):
        load_examples([FileExamples(path=written(tmp_path, [GOOD]), form="examples")], {})


def test_limit_and_shuffle(tmp_path: Path) -> None:
    rows = [to_json(example(number)) for number in range(30)]
    written(tmp_path, rows, EXAMPLES_FILE)

    def ids(**settings: Any) -> list[str]:
        source = StageExamples(stage="kept", **settings)
        return [entry.example.id for entry in load_examples([source], {"kept": tmp_path}).examples]

    assert ids(limit=2) == ["e0", "e1"]
    assert sorted(ids(shuffle_seed=1)) == sorted(ids()) and ids(shuffle_seed=1) != ids()
    assert ids(shuffle_seed=1, limit=3) == ids(shuffle_seed=1)[:3] != ids(shuffle_seed=2, limit=3)


def test_the_embedded_world() -> None:
    source = MicroExamples(tasks=("equation", "greeting"), count=12, seed=3)
    found = load_examples([source], {})
    assert found == load_examples([source], {})
    assert {(e.example.domain, e.example.language) for e in found.examples} == {
        (task, language) for task in ("equation", "greeting") for language in ("en", "zh")
    }
    assert all(entry.example.thinking and entry.example.answer for entry in found.examples)
    other = load_examples([source.model_copy(update={"seed": 4})], {})
    assert [e.example.messages for e in other.examples] != [e.example.messages for e in found.examples]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (FileExamples(path="nowhere.jsonl"), "There is no file"),
        (FileExamples(path=__file__), "expected one of"),
        (MicroExamples(tasks=("equations",)), "did you mean 'equation'"),
        (StageExamples(stage="zero"), "Stage 'zero' left no examples.jsonl"),
        (StageExamples(stage="empty"), "Source 'empty' has no usable example: it is empty. Relax the keep rules"),
    ],
)
def test_sources_that_cannot_be_used(tmp_path: Path, source: Any, message: str) -> None:
    for name in ("zero", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / EXAMPLES_FILE).write_text("")
    with pytest.raises(PonderError, match=message):
        load_examples([source], {name: tmp_path / name for name in ("zero", "empty")})


@pytest.mark.parametrize("columns", [{"prompt": "Prompt"}, {"messages": "talk"}, {"thinking": "cot"}, {"id": "key"}])
def test_a_column_that_no_row_has(tmp_path: Path, columns: dict[str, str]) -> None:
    ((field, name),) = columns.items()
    with pytest.raises(DataError, match=f"has no column '{name}', which `columns.{field}` names"):
        loaded(tmp_path, [GOOD], columns=columns)


def test_hub_data_set_in_a_local_folder(tmp_path: Path) -> None:
    written(tmp_path, [GOOD], "train.jsonl")
    script = (
        "from ponder.recipe.examples import HubExamples as H; from ponder.task.examples import load_examples as load\n"
        "from ponder.errors import DataError\n"
        f"print(load([H(id={str(tmp_path)!r})], {{}}).examples[0].example.answer)\n"
        "try: load([H(id='nobody/nothing')], {})\n"
        "except DataError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[0] == "It is 5.", done.stderr
    assert "nobody/nothing, split 'train' cannot be loaded from the hub" in lines[1]
    assert HubExamples(id="a/b", subset="c").split == "train"
