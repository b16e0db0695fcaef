"""Conversations as tables hold them: both spellings, parts, JSON as text, and keys that change what a turn means."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError
from ponder.evaluation.verify_command import _field
from ponder.recipe.examples import FileExamples
from ponder.recipe.problems import FileProblems
from ponder.recipe.reward_model import FilePreferences
from ponder.records import ChoiceGold, Message
from ponder.task import load_problems
from ponder.task.examples import LoadedExamples, load_examples
from ponder.task.load import Loaded
from ponder.task.preference import load_pairs


def written(folder: Path, rows: list[Any]) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


GOOD = {"m": [{"role": "user", "content": "good"}, {"role": "assistant", "content": "4"}], "gold": "4"}


def examples(folder: Path, *rows: dict[str, Any], turns: str = "last", **columns: str) -> LoadedExamples:
    settings = {"path": written(folder, [*rows, GOOD]), "name": "rows", "turns": turns}
    return load_examples([FileExamples.model_validate(settings | {"columns": {"messages": "m"} | columns})], {})


def problems(folder: Path, *rows: dict[str, Any]) -> Loaded:
    columns = {"messages": "m", "answer": "gold"}
    settings = {"path": written(folder, [*rows, GOOD]), "name": "rows", "gold": "math", "columns": columns}
    return load_problems([FileProblems.model_validate(settings)])


def said(speaker: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"role": speaker, "content": text} | more


def shared(speaker: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"from": speaker, "value": text} | more


ASKED = (Message(role="system", content="Be brief."), Message(role="user", content="2+3?\nQuick."))
PARTS = [{"type": "text", "text": "2+3?"}, {"type": "text", "text": "Quick."}]
TALKS: dict[str, Any] = {
    "plain": [said("system", "Be brief."), said("user", "2+3?\nQuick."), said("assistant", "5")],
    "shared": [shared("system", "Be brief."), shared("human", "2+3?\nQuick."), shared("gpt", "5")],
    "other names": [said("developer", "Be brief."), said("User", "2+3?\nQuick."), said("model", "5")],
    "parts": [said("system", [{"type": "text", "text": "Be brief."}]), said("user", PARTS), said("assistant", ["5"])],
    "parts of requests": [
        said("system", "Be brief."),
        said("user", [{"type": "input_text", "text": "2+3?\nQuick."}]),
        said("assistant", [{"type": "output_text", "text": "5", "annotations": []}]),
    ],
    "empty keys": [
        said("system", "Be brief.", tool_calls=None, name=None),
        said("user", "2+3?\nQuick.", tools="[]", function_call="null", images=[]),
        said("assistant", "5", tool_calls=[], refusal=None, weight=None, train=None, audio={}),
    ],
    "where it came from": [
        said("system", "Be brief.", id=1, language="en"),
        said("user", "2+3?\nQuick.", timestamp="2024", toxic=False, turn=0),
        said("assistant", "5", info={"source": "s"}, model="m", score=0.5, weight=1.0),
    ],
    "marked": [
        shared("system", "Be brief.", weight=0, train=False),
        shared("human", "2+3?\nQuick.", weight=0),
        shared("gpt", "5", weight=1, train=True),
    ],
}
TALKS["text of a list"] = json.dumps(TALKS["shared"])
TALKS["list of texts"] = [json.dumps(turn) for turn in TALKS["plain"]]


@pytest.mark.parametrize("name", TALKS)
def test_read_alike(name: str, tmp_path: Path) -> None:
    example = examples(tmp_path, {"m": TALKS[name]}).examples[0].example
    assert (example.messages, example.thinking, example.answer) == (ASKED, None, "5")
    assert problems(tmp_path, {"m": TALKS[name], "gold": "5"}).problems[0].messages == ASKED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tool_calls", [{"function": {"name": "add", "arguments": "{}"}}]),
        ("function_call", {"name": "add", "arguments": "{}"}),
        ("tools", '[{"name": "add"}]'),
        ("tool_call_id", "7"),
        ("images", ["a.png"]),
        ("audio", {"id": "x"}),
        ("refusal", "I will not."),
        ("prefix", True),
        ("loss", False),
        ("mask", 0),
        ("channel", "commentary"),
        ("what_is_this", "no idea"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_keys_that_change_a_turn(key: str, value: Any, place: int, tmp_path: Path) -> None:
    talk = [said("user", "q"), said("assistant", "r"), said("user", "2+3?"), said("assistant", "5")]
    talk[place] = talk[place] | {key: value}
    found = examples(tmp_path, {"m": talk})
    assert [one.example.answer for one in found.examples] == ["4"]
    assert found.left_out[0].row == 1 and f"turn {place + 1} has {key!r}" in found.left_out[0].reason
    asked = problems(tmp_path, {"m": talk, "gold": "5"})
    assert len(asked.problems) == 1 and f"turn {place + 1} has {key!r}" in asked.left_out[0].reason
    assert "1 rows left out" in asked.summary()


def test_columns_beside_a_conversation(tmp_path: Path) -> None:
    talk = [said("user", "2+3?"), said("assistant", "5")]
    row = {"m": talk, "gold": "5"}
    for beside in ({"tools": '[{"name": "add"}]'}, {"functions": [{"name": "f"}]}, {"images": ["a.png"]}):
        for found in (examples(tmp_path, row | beside).left_out, problems(tmp_path, row | beside).left_out):
            assert "without which what is asked is something else" in found[0].reason
    for beside in ({"tools": "[]"}, {"tools": None}, {"images": []}, {"source": "somewhere"}):
        assert not examples(tmp_path, row | beside).left_out and not problems(tmp_path, row | beside).left_out


@pytest.mark.parametrize(
    "mark", [{"weight": 0}, {"weight": 0.0}, {"weight": "0"}, {"train": False}, {"train": "false"}]
)
def test_turns_that_are_not_to_be_learnt(mark: tuple[str, Any], tmp_path: Path) -> None:
    talk = [
        said("user", "q1"),
        said("assistant", "r1", **mark),
        said("user", "q2"),
        said("assistant", "r2", train=True),
    ]
    every = examples(tmp_path, {"m": talk}, turns="every")
    assert [one.example.answer for one in every.examples] == ["r2", "4"] and not every.left_out
    assert [message.content for message in every.examples[0].example.messages] == ["q1", "r1", "q2"]
    last = examples(tmp_path, {"m": talk[:2]})
    assert [one.example.answer for one in last.examples] == ["4"]
    assert "marked as not to be learnt" in last.left_out[0].reason
    assert "marked as not to be learnt" in examples(tmp_path, {"m": talk[:2]}, turns="every").left_out[0].reason


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        ([said("user", "q"), said("assistant", "r", weight=0.5)], "'weight': 0.5; expected 0 or 1"),
        ([said("user", "q", train=True), said("assistant", "r")], "only the assistant's turns can be learnt"),
        ([said("user", [{"type": "image_url", "image_url": {"url": "u"}}]), said("assistant", "r")], "has a part"),
        ([said("user", [{"type": "text", "text": "q", "image": "a.png"}]), said("assistant", "r")], "has a part"),
        ([shared("human", "q"), shared("function_call", "f()"), shared("gpt", "r")], "a turn of 'function_call'"),
        ([shared("human", "q"), shared("observation", "f()"), shared("gpt", "r")], "a turn of 'observation'"),
        ([said("user", "q"), said("assistant", None, tool_calls=[{"id": "1"}]), said("user", "q"), said("gpt", "r")],
         "turn 2 has 'tool_calls'"),
        ("[{'role': 'user', 'content': 'q'}]", "expected a list of"),
    ],
)  # fmt: skip
def test_talks_left_out(talk: Any, reason: str, tmp_path: Path) -> None:
    assert reason in examples(tmp_path, {"m": talk}).left_out[0].reason


def test_thinking_in_parts(tmp_path: Path) -> None:
    parts = [{"type": "thinking", "thinking": "2+3 is 5"}, {"type": "text", "text": "It is 5."}]
    example = examples(tmp_path, {"m": [said("user", "q"), said("assistant", parts)]}).examples[0].example
    assert (example.thinking, example.answer) == ("2+3 is 5", "It is 5.")
    twice = [said("user", "q"), said("assistant", parts, reasoning="so 5")]
    assert "thinking stands in two places" in examples(tmp_path, {"m": twice}, thinking="reasoning").left_out[0].reason


def test_prompts_and_completions_that_are_conversations(tmp_path: Path) -> None:
    rows = [
        {"prompt": [said("user", "2+3?")], "completion": [said("assistant", "<think>a</think>5")]},
        {"prompt": json.dumps([shared("human", "3+3?")]), "completion": "6"},
        {"prompt": "4+3?", "completion": [said("assistant", "7", weight=0)]},
    ]
    source = FileExamples.model_validate(
        {"path": written(tmp_path, rows), "columns": {"prompt": "prompt", "response": "completion"}}
    )
    found = load_examples([source], {})
    assert [(one.example.messages[-1].content, one.example.thinking, one.example.answer) for one in found.examples] == [
        ("2+3?", "a", "5"),
        ("3+3?", None, "6"),
    ]
    assert "not to be learnt" in found.left_out[0].reason


def test_pairs_whose_replies_are_conversations(tmp_path: Path) -> None:
    good, bad = [said("user", "q"), said("assistant", "yes")], [shared("human", "q"), shared("gpt", "no")]
    rows = [
        {"prompt": "q", "chosen": good, "rejected": bad},
        {"prompt": "other", "chosen": good, "rejected": bad},
        {"prompt": "q", "chosen": [said("user", "q"), said("assistant", "yes", tool_calls=[1])], "rejected": bad},
    ]
    source = FilePreferences.model_validate({"path": written(tmp_path, rows)})
    found = load_pairs([source], {})
    assert [(pair.messages, pair.chosen, pair.rejected) for pair in found.rows] == [
        ((Message(role="user", content="q"),), "yes", "no")
    ]
    reasons = [one.reason for one in found.left_out]
    assert "not what the prompt asks" in reasons[0] and "'tool_calls'" in reasons[1]


def test_columns_that_hold_json_as_text(tmp_path: Path) -> None:
    """Dotted names and lists, as `ponder verify` reads them."""
    inner = json.dumps({"gold": json.dumps({"letter": "B"}), "choices": ["17", "60"], "text": "Which?"})
    columns = {"prompt": "data.text", "answer": "data.gold.letter", "options": "data.choices"}
    rows = [{"data": inner}, {"data": "{broken"}, {"data": None}]
    source = FileProblems.model_validate({"path": written(tmp_path, rows), "gold": "choice", "columns": columns})
    found = load_problems([source])
    assert [problem.gold for problem in found.problems] == [ChoiceGold(answer="B", options=("17", "60"))]
    assert found.problems[0].prompt.startswith("Which?") and len(found.left_out) == 2
    assert _field(rows[0], "data.gold.letter") == "B" and _field(rows[0], "data.choices") == ["17", "60"]
    with pytest.raises(DataError, match=r"no column 'data\.gould'"):
        load_problems(
            [source.model_copy(update={"columns": source.columns.model_copy(update={"answer": "data.gould"})})]
        )
