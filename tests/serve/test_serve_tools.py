"""Tools over HTTP: declared, called after the thinking, answered; whole and streamed."""

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.records import Tool, ToolCall
from ponder.serve.calls import Calls
from ponder.serve.fault import Fault
from ponder.serve.history import messages_of
from ponder.serve.wire import Turn
from ponder.text.calls import FORMS
from tests.serve.conftest import Running

ASK = "What is 17 + 25?"
ADD = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {"a": {}, "b": {}}})
WEATHER = Tool(name="weather", description="", parameters={"type": "object", "properties": {}})
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Adds two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}},
                "required": ["a", "b"],
                "additionalProperties": False,
                "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Rome", "Cairo"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    },
]


def call(name: str, **arguments: Any) -> str:
    return "<tool_call>\n" + json.dumps({"name": name, "arguments": arguments}) + "\n</tool_call>"


READ: list[tuple[str, str, str, list[tuple[str, dict[str, Any]]], int]] = [
    # form, text, shown, calls, faults
    ("tags", "The answer is 42.", "The answer is 42.", [], 0),
    ("tags", call("add", a=1, b=2), "", [("add", {"a": 1, "b": 2})], 0),
    ("tags", f"Let me add.\n\n{call('add', a=1)}", "Let me add.", [("add", {"a": 1})], 0),
    ("tags", f"{call('add', a=1)}\n{call('add', a=2)}", "", [("add", {"a": 1}), ("add", {"a": 2})], 0),
    ("tags", call("add", a="</tool_call> <tool_call>"), "", [("add", {"a": "</tool_call> <tool_call>"})], 0),
    ("tags", '{"name": "add", "arguments": {"a": 3}}', "", [("add", {"a": 3})], 0),
    ("tags", '```json\n{"name": "add", "arguments": {}}\n```', "", [("add", {})], 0),
    ("tags", '{"sum": 42}', '{"sum": 42}', [], 0),
    ("tags", "a < b <tool", "a < b <tool", [], 0),
    ("tags", "see <tool_call>{bad}</tool_call> end", "see <tool_call>{bad}</tool_call> end", [], 1),
    ("tags", "<tool_call>\n{", "<tool_call>\n{", [], 1),
    ("tags", call("fly", a=1), call("fly", a=1), [], 1),
    ("tags", f"{call('fly', a=1)}{call('add', a=1)}", call("fly", a=1), [("add", {"a": 1})], 1),
    ("list", '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]', "", [("add", {"a": 1})], 0),
    ("bare", '{"name": "add", "parameters": {"a": 1}}', "", [("add", {"a": 1})], 0),
    ("bare", "plain words", "plain words", [], 0),
]


@pytest.mark.parametrize(("form", "text", "shown", "calls", "faults"), READ, ids=lambda one: str(one)[:30])
@given(data=st.data())
def test_calls_are_read_however_the_text_is_cut(
    data: st.DataObject, form: str, text: str, shown: str, calls: list[Any], faults: int
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1), max_size=6)))
    reader = Calls(FORMS[form], [ADD, WEATHER], "x")
    settled: list[str | ToolCall] = []
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        settled += reader.feed(text[start:stop])
    settled += reader.close()
    assert "".join(one for one in settled if isinstance(one, str)).strip() == shown
    found = [one for one in settled if isinstance(one, ToolCall)]
    assert [(one.name, one.values) for one in found] == calls and found == reader.calls
    assert len({one.id for one in found}) == len(found) and len(reader.faults) == faults


def test_text_is_shown_before_its_end_unless_it_may_be_a_call() -> None:
    reader = Calls(FORMS["tags"], [ADD], "x")
    assert reader.feed("It is 4") == ["It is 4"]
    assert reader.feed("2 <too") == ["2"]
    assert reader.feed("ls") == [" <tools"]
    [made] = reader.feed(" " + call("add", a=1))
    assert isinstance(made, ToolCall), "a call is there as soon as it is whole"


def turn(role: str, content: str | None = None, **fields: Any) -> Turn:
    return Turn.model_validate_json(json.dumps({"role": role, "content": content, **fields}))


def called(*calls: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [
        {"id": one, "type": "function", "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in calls
    ]


def test_results_stand_in_the_order_of_their_calls() -> None:
    turns = [
        turn("user", ASK),
        turn("assistant", tool_calls=called(("c1", "add", '{"a":1}'), ("c2", "weather", "{}"))),
        turn("tool", "sunny", tool_call_id="c2"),
        turn("tool", "3", tool_call_id="c1"),
        turn("assistant", "", tool_calls=called(("c3", "add", ""))),
        turn("tool", "0"),
    ]
    messages = messages_of(turns)
    assert [(one.role, one.content, one.name) for one in messages[2:4]] == [
        ("tool", "3", "add"),
        ("tool", "sunny", "weather"),
    ]
    assert messages[1].tool_calls[0].values == {"a": 1} and messages[5].name == "add"


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([turn("user", "x"), turn("tool", "3", tool_call_id="c")], "waits for no result"),
        ([turn("user", "x", tool_calls=called(("c", "add", "{}")))], "is the user's"),
        ([turn("assistant", tool_calls=called(("c", "add", "{}"), ("c", "add", "{}")))], "two tool_calls of one id"),
        ([turn("assistant", tool_calls=called(("c", "add", "[1]")))], "must be a JSON object"),
        ([turn("assistant", tool_calls=called(("c", "add", "{")))], "is no JSON"),
        ([turn("assistant", tool_calls=called(("c", "add", '{"a": NaN}')))], "NaN is no number"),
        ([turn("assistant", tool_calls=called(("c", "add", '{"a": -1e999}')))], "too large a number"),
        ([turn("assistant", tool_calls=called(("c", "add", f'{{"a": {"9" * 5000}}}')))], "is no JSON"),
        ([turn("assistant", tool_calls=called(("c", "add", f'{{"a": {"[" * 500}{"]" * 500}}}')))], "nested more than"),
    ],
)
def test_calls_and_results_that_do_not_belong_together(turns: list[Turn], words: str) -> None:
    with pytest.raises(Fault, match=words):
        messages_of(turns)


def test_the_openai_package_calls_tools(server: Running) -> None:
    """Required, named, whole and streamed; results go back; each call fits its tool and comes after a thought."""
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    messages: Any = [{"role": "user", "content": ASK}]
    reply = client.chat.completions.create(
        model="micro", messages=messages, tools=TOOLS, tool_choice="required", seed=2, max_tokens=300
    )
    [choice] = reply.choices
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    assert getattr(choice.message, "reasoning_content", None)
    [made] = choice.message.tool_calls or []
    assert made.type == "function" and made.id.startswith("call_")
    values = json.loads(made.function.arguments)
    assert values["city"] in ("Rome", "Cairo") if made.function.name == "weather" else 0 <= values["a"] <= 99

    named: Any = {"type": "function", "function": {"name": "weather"}}
    stream = client.chat.completions.create(
        model="micro", messages=messages, tools=TOOLS, tool_choice=named, seed=2, max_tokens=300, stream=True
    )
    pieces, reasons, thinking = [], [], ""
    for chunk in stream:
        [one] = chunk.choices
        assert not one.delta.content
        thinking += getattr(one.delta, "reasoning_content", None) or ""
        assert not (one.delta.tool_calls and reasons)
        pieces += one.delta.tool_calls or []
        reasons += [one.finish_reason] if one.finish_reason else []
    assert thinking and reasons == ["tool_calls"] and [one.index for one in pieces] == [0]
    [piece] = pieces
    assert piece.function is not None and piece.function.name == "weather"
    assert json.loads(piece.function.arguments or "")["city"] in ("Rome", "Cairo")

    history: Any = [*messages, choice.message, {"role": "tool", "tool_call_id": made.id, "content": "42"}]
    after = client.chat.completions.create(model="micro", messages=history, tools=TOOLS, max_tokens=200)
    assert after.usage is not None and reply.usage is not None
    assert after.usage.prompt_tokens > reply.usage.prompt_tokens
    assert after.choices[0].finish_reason in ("stop", "length", "tool_calls")


def test_without_a_thought_and_strict_and_none(server: Running) -> None:
    fields: Any = {"tools": TOOLS, "thinking": {"type": "disabled"}, "max_tokens": 200, "seed": 1}
    [choice] = server.chat(ASK, **fields, tool_choice="required")["choices"]
    assert choice["finish_reason"] == "tool_calls" and "reasoning_content" not in choice["message"]
    plain = server.chat(ASK, max_tokens=60, seed=1)
    none = server.chat(ASK, max_tokens=60, seed=1, tools=TOOLS, tool_choice="none")
    assert none["choices"][0]["message"] == plain["choices"][0]["message"]
    strict = [{**one, "function": {**one["function"], "strict": True}} for one in TOOLS]
    # the model is made to begin a call, which then has to be one
    opening = server.post("/tokenize", {"prompt": "<tool_call>"}).json()["tokens"]
    bias = {str(one): 100 for one in opening[:1]}
    [choice] = server.chat(ASK, tools=strict, thinking={"type": "disabled"}, logit_bias=bias, max_tokens=60, seed=1)[
        "choices"
    ]
    assert choice["finish_reason"] in ("stop", "length", "tool_calls")
    cut = server.chat(ASK, **fields | {"max_tokens": 12}, tool_choice="required")["choices"][0]
    assert cut["finish_reason"] == "length" and "tool_calls" not in cut["message"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "fly"}}}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [*TOOLS, TOOLS[0]]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
    ({"tools": [{"type": "retrieval"}]}, "tools"),
    ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "response_format"),
    (
        {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"not": {}}}}],
            "tool_choice": "required",
        },
        "tools",
    ),
    ({"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}]}, "messages"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=lambda one: str(one)[:60])
def test_what_cannot_be_offered_is_refused(server: Running, fields: dict[str, Any], param: str) -> None:
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], **fields})
    assert reply.status_code == 400 and reply.json()["error"]["param"] == param, reply.text
