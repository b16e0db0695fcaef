"""Pairs and labels from files, dialogues and stages: what is read, and why a row is left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError
from ponder.recipe import FilePreferences, MicroPreferences, StagePreferences
from ponder.records import LabelledResponse, Message, PreferencePair, to_json
from ponder.task.dialogue import split_dialogue
from ponder.task.fault import RowFault
from ponder.task.preference import load_labels, load_pairs

HH = Path(__file__).parents[2] / "../shared/data/preference/hh_rlhf_harmless_base_test.jsonl.gz"
PAIR = {"prompt": "q", "chosen": "good", "rejected": "bad"}
LABEL = {"prompt": "q", "response": "r", "safe": True}


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., FilePreferences]:
    def make(rows: list[object], **fields: Any) -> FilePreferences:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return FilePreferences.model_validate({"path": str(path)} | fields)

    return make


def reasons(loaded: Any) -> list[str]:
    return [one.reason for one in loaded.left_out]


def test_rows_become_pairs_and_faults_are_listed(source: Callable[..., FilePreferences]) -> None:
    rows = [
        PAIR | {"lang": "zh"},
        "{torn",
        PAIR | {"rejected": "good"},
        PAIR | {"chosen": " "},
        PAIR | {"chosen": 3},
        {"prompt": "q", "chosen": "a"},
        PAIR | {"prompt": ""},
        PAIR | {"lang": "fr"},
    ]
    loaded = load_pairs([source(rows, columns={"language": "lang"}, domain="chat")], {})
    assert loaded.rows == (
        PreferencePair(
            id="rows/1",
            messages=(Message(role="user", content="q"),),
            chosen="good",
            rejected="bad",
            domain="chat",
            language="zh",
        ),
    )
    expected = ["not JSON", "same text", "is empty", "expected text", "'rejected' is missing", "is empty", "en or zh"]
    assert [one.row for one in loaded.left_out] == [2, 3, 4, 5, 6, 7, 8]
    assert all(words in reason for words, reason in zip(expected, reasons(loaded), strict=True))
    assert loaded.sizes == {"rows": 1}


@pytest.mark.parametrize(
    ("label", "safe"),
    [
        (True, True),
        (0, False),
        (1, True),
        ("safe", True),
        ("UNSAFE", False),
        ("true", True),
        ("maybe", None),
        (None, None),
    ],
)
def test_labels(source: Callable[..., FilePreferences], label: object, safe: bool | None) -> None:
    loaded = load_labels([source([LABEL, LABEL | {"safe": label}])], {})
    if safe is None:
        assert "expected true or false" in reasons(loaded)[0]
    else:
        assert loaded.rows[1].safe is safe and loaded.rows[1].response == "r"


THOUGHT = {"role": "assistant", "content": "No.", "reasoning_content": "First take the lid off."}
PARTS = {
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": "Lid off."}, {"type": "text", "text": "No."}],
}


@pytest.mark.parametrize(("turn", "thinking"), [(THOUGHT, "First take the lid off."), (PARTS, "Lid off.")])
def test_a_label_is_one_of_the_thinking_too(
    source: Callable[..., FilePreferences], turn: dict[str, Any], thinking: str
) -> None:
    talk = {"response": [{"role": "user", "content": "how?"}, turn], "safe": False}
    (row,) = load_labels([source([talk], form="dialogues")], {}).rows
    assert row.response == f"<think>{thinking}</think> No."
    pair = {
        "chosen": talk["response"],
        "rejected": [{"role": "user", "content": "how?"}, {"role": "assistant", "content": "So."}],
    }
    (other,) = load_pairs([source([pair], form="dialogues")], {}).rows
    assert other.chosen == "No."


def test_thinking_beside_a_labelled_response_is_not_lost(source: Callable[..., FilePreferences]) -> None:
    loaded = load_labels([source([LABEL, LABEL | {"reasoning_content": "Lid off."}])], {})
    assert len(loaded.rows) == 1 and "thinking in column 'reasoning_content'" in reasons(loaded)[0]


@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_half_of_a_surrogate_pair_is_one_row_left_out(source: Callable[..., FilePreferences], column: str) -> None:
    loaded = load_pairs([source([PAIR, PAIR | {column: "nice \ud83d"}])], {})
    assert len(loaded.rows) == 1 and "half of a surrogate pair" in reasons(loaded)[0]


@pytest.mark.parametrize(
    ("text", "messages", "reply"),
    [
        ("\n\nHuman: a\n\nAssistant: b", ["a"], "b"),
        ("Human: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d\n\ne", ["a", "b", "c"], "d\n\ne"),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", ["a\n\nb"], "c"),
        ("\n\nHuman: he said Human: x\n\nAssistant: c", ["he said Human: x"], "c"),
    ],
)
def test_dialogues(text: str, messages: list[str], reply: str) -> None:
    prompt, last = split_dialogue(text, "chosen")
    assert [message.content for message in prompt] == messages and last == reply
    assert [m.role for m in prompt] == ["user", "assistant"] * (len(prompt) // 2) + ["user"]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "say Human: a", "\n\nHuman: a", "\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b\n\nHuman: c"],
)
def test_what_is_no_dialogue(text: str) -> None:
    with pytest.raises(RowFault):
        split_dialogue(text, "chosen")


def test_dialogues_that_differ_earlier_are_left_out(source: Callable[..., FilePreferences]) -> None:
    rows = [
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: x\n\nAssistant: c"},
    ]
    loaded = load_pairs([source(rows, form="dialogues")], {})
    assert len(loaded.rows) == 1 and "different questions" in reasons(loaded)[0]


@pytest.mark.skipif(not HH.is_file(), reason="no ../shared/data beside the checkout")
def test_real_dialogues() -> None:
    loaded = load_pairs([FilePreferences(path=str(HH), form="dialogues")], {})
    assert len(loaded.rows) == 2308 and len(loaded.left_out) == 4
    assert all(one.messages[-1].role == "user" and one.chosen != one.rejected for one in loaded.rows)
    holding_turns = [one for one in loaded.rows if "\n\nHuman:" in one.chosen + one.rejected]
    assert len(holding_turns) <= 1  # one assistant says "Human: ..." itself, in a turn after a turn of its own


def test_records_of_a_stage(tmp_path: Path) -> None:
    asked = (Message(role="user", content="q"),)
    pair = PreferencePair(id="1", messages=asked, chosen="a", rejected="b")
    label = LabelledResponse(id="2", messages=asked, response="<think>x</think> y", safe=False)
    (tmp_path / "pairs.jsonl").write_text(json.dumps(to_json(pair)) + "\n" + json.dumps({"id": "3"}) + "\n")
    (tmp_path / "labels.jsonl").write_text(json.dumps(to_json(label)) + "\n")
    source = StagePreferences(stage="made")
    pairs = load_pairs([source], {"made": tmp_path})
    assert pairs.rows == (pair,) and "no preference pair" in reasons(pairs)[0]
    assert load_labels([source], {"made": tmp_path}).rows == (label,)
    (tmp_path / "labels.jsonl").unlink()
    with pytest.raises(DataError, match=r"'made' made no labels\.jsonl"):
        load_labels([source], {"made": tmp_path})


def test_wrong_columns_are_named(source: Callable[..., FilePreferences]) -> None:
    with pytest.raises(DataError, match=r"no column 'chosen'.*Did you mean 'choosen'"):
        load_pairs([source([{"prompt": "q", "choosen": "a", "rejected": "b"}])], {})
    with pytest.raises(DataError, match="set `form: dialogues`"):
        load_pairs([source([{"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "c"}])], {})
    with pytest.raises(DataError, match="no column 'response'"):
        load_labels([source([PAIR])], {})


def test_nothing_usable_lists_the_reasons(source: Callable[..., FilePreferences]) -> None:
    with pytest.raises(DataError, match=r"no usable preference pair \(2 rows left out\): row 1: .*same text; row 2"):
        load_pairs([source([PAIR | {"chosen": "bad"}] * 2)], {})


def test_limit_and_shuffle(source: Callable[..., FilePreferences]) -> None:
    rows: list[object] = [PAIR | {"prompt": f"q{i}"} for i in range(20)]
    first = load_pairs([source(rows, limit=5)], {}).rows
    drawn = load_pairs([source(rows, limit=5, shuffle_seed=1)], {}).rows
    assert [one.id for one in first] == [f"rows/{i}" for i in range(1, 6)]
    assert len(drawn) == 5 and drawn != first and drawn == load_pairs([source(rows, limit=5, shuffle_seed=1)], {}).rows


def test_the_embedded_world_grades_its_own_replies() -> None:
    source = MicroPreferences(count=30)
    pairs, labels = load_pairs([source], {}), load_labels([source], {})
    assert len(pairs.rows) == len(labels.rows) == 30 and not pairs.left_out
    assert {one.safe for one in labels.rows} == {True, False} and pairs.sizes == {"micro/train": 30}
