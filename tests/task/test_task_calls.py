"""Conversations with tools in tables: OpenAI's and ShareGPT's forms, what is learnt of them, and what is left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponder.recipe.examples import FileExamples
from ponder.records import Example, Message, Step, Tool, ToolCall
from ponder.task.examples import LoadedExamples, load_examples

ADD = {
    "name": "add",
    "description": "Adds.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}
FUNCTION = {"type": "function", "function": ADD}
TOOL = Tool(name="add", description="Adds.", parameters=ADD["parameters"])  # type: ignore[arg-type]
CALL = ToolCall(name="add", arguments='{"a": 1}', id="c1")
ASK = {"role": "user", "content": "1+0?"}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "1"}
SAYS = {"role": "assistant", "content": "It is 1."}


def load(folder: Path, *rows: dict[str, Any], **settings: Any) -> LoadedExamples:
    path = folder / "rows.jsonl"
    kept = {"m": [ASK, SAYS], "tools": []}
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, kept]))
    source = {"path": str(path), "columns": {"messages": "m", "tools": "tools"}, **settings}
    return load_examples([FileExamples.model_validate(source)], {})


def first(folder: Path, *turns: dict[str, Any], tools: Any = (FUNCTION,), **settings: Any) -> Example:
    loaded = load(folder, {"m": turns, "tools": tools}, **settings)
    assert not loaded.left_out, loaded.left_out
    return loaded.examples[0].example


@pytest.mark.parametrize(
    ("turns", "tools"),
    [
        ([ASK, CALLING, RESULT, SAYS], [FUNCTION]),
        ([ASK, CALLING, RESULT, SAYS], json.dumps([FUNCTION])),
        ([ASK, CALLING | {"content": ""}, RESULT, SAYS], [ADD]),
        ([ASK, {k: v for k, v in CALLING.items() if k != "content"}, RESULT, SAYS], [ADD]),
        ([ASK, CALLING | {"tool_calls": [{"id": "c1", "name": "add", "arguments": {"a": 1}}]}, RESULT, SAYS], [ADD]),
        ([ASK, CALLING | {"tool_calls": json.dumps(CALLING["tool_calls"])}, RESULT, SAYS], [ADD]),
    ],
    ids=["openai", "as text", "empty content", "no content", "bare call", "calls as text"],
)
def test_calls_and_results_are_read(turns: list[dict[str, Any]], tools: Any, tmp_path: Path) -> None:
    example = first(tmp_path, *turns, tools=tools)
    result = Message(role="tool", content="1", tool_call_id="c1", name="add")
    assert example.tools == (TOOL,) and example.answer == "It is 1." and example.tool_calls == ()
    assert example.messages == (Message(role="user", content="1+0?"),)
    assert example.steps == (Step(thinking=None, content="", tool_calls=(CALL,), results=(result,)),)


def test_sharegpt_function_calls(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "1+0?"},
        {"from": "function_call", "value": json.dumps({"name": "add", "arguments": {"a": 1}})},
        {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "It is 1."},
    ]
    (step,) = first(tmp_path, *turns).steps
    assert [call.values for call in step.tool_calls] == [{"a": 1}] and step.results[0].content == "1"


def test_thinking_of_each_turn_is_its_own(tmp_path: Path) -> None:
    said = {"role": "assistant", "content": "<think>one it is</think>It is 1."}
    example = first(tmp_path, ASK, CALLING | {"content": "<think>too hard</think>Let me add."}, RESULT, said)
    assert (example.steps[0].thinking, example.steps[0].content) == ("too hard", "Let me add.")
    assert (example.thinking, example.answer) == ("one it is", "It is 1.")


def test_earlier_calls_are_read_and_later_ones_learnt(tmp_path: Path) -> None:
    turns = [ASK, CALLING | {"weight": 0}, RESULT, SAYS, {"role": "user", "content": "again"}, CALLING, RESULT, SAYS]
    example = first(tmp_path, *turns)
    assert [message.role for message in example.messages] == ["user", "assistant", "tool", "assistant", "user"]
    assert example.messages[1].tool_calls == (CALL,) and len(example.steps) == 1
    both = load(tmp_path, {"m": turns, "tools": [ADD]}, turns="every").examples[:2]
    assert [len(one.example.messages) for one in both] == [1, 5]
    assert [one.example.steps[0].learnt for one in both] == [False, True]


def test_a_conversation_that_ends_with_a_call(tmp_path: Path) -> None:
    example = first(tmp_path, ASK, CALLING)
    assert example.tool_calls == (CALL,) and example.answer == "" and not example.steps


@pytest.mark.parametrize(
    ("turns", "tools", "reason"),
    [
        ([ASK, CALLING, SAYS], [ADD], "holds 1 calls, and 0 results follow"),
        ([ASK, SAYS, RESULT, SAYS], [ADD], "calls nothing"),
        ([ASK, CALLING, RESULT], [ADD], "ends with a turn of 'tool'"),
        ([ASK, CALLING | {"tool_calls": [{"function": {"name": "add", "arguments": "{a"}}]}, RESULT, SAYS], [ADD],
         "arguments of 'add' are no JSON"),
        ([ASK, CALLING | {"tool_calls": [{"function": {"name": "add", "arguments": "[1]"}}]}, RESULT, SAYS], [ADD],
         "expected an object"),
        ([ASK, CALLING | {"tool_calls": [{"id": "1"}]}, RESULT, SAYS], [ADD], "expected a call with the name"),
        ([ASK, CALLING | {"tool_calls": "add(1)"}, RESULT, SAYS], [ADD], "expected a list of calls"),
        ([ASK, SAYS], [{"description": "x"}], "expected a tool with a name"),
        ([ASK, SAYS], "add", "expected a list of tools"),
        ([ASK, CALLING, RESULT, SAYS | {"weight": 0}], [ADD], "not to be learnt"),
        ([ASK, RESULT | {"images": ["a"]}, SAYS], [ADD], "turn 2 has 'images'"),
    ],
)  # fmt: skip
def test_rows_left_out(turns: list[dict[str, Any]], tools: Any, reason: str, tmp_path: Path) -> None:
    assert reason in load(tmp_path, {"m": turns, "tools": tools}).left_out[0].reason


def test_without_the_column_calls_are_refused_as_before(tmp_path: Path) -> None:
    row = {"m": [ASK, CALLING | {"content": ""}, RESULT, SAYS], "tools": []}
    found = load(tmp_path, row, columns={"messages": "m"})
    assert "turn 2 has 'tool_calls'" in found.left_out[0].reason or "'tool'" in found.left_out[0].reason
