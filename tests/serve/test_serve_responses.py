"""`/v1/responses`: items in and out, calls, votes, and the events that tell of them, with OpenAI's own client."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from jsonschema import Draft202012Validator

from ponder.records import ToolCall
from ponder.serve.choice import Delta
from ponder.serve.fault import Fault
from ponder.serve.history import messages_of
from ponder.serve.output import Output
from ponder.serve.responses import ResponseRequest
from ponder.serve.wire import read_request
from tests.serve.conftest import Running

ASK = "What is 17 + 25?"
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["a"],
    "additionalProperties": False,
}
ADD: Any = {"type": "function", "name": "add", "description": "Adds.", "parameters": SCHEMA, "strict": True}
NOW: Any = {"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}
USER = {"role": "user", "content": ASK}


def said(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "output_text", "text": text, "annotations": []}]}


def call(name: str, arguments: str = "{}", tool: str = "add") -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": name, "name": tool, "arguments": arguments}


def output(name: str, text: Any = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": text}


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}

CONVERSATIONS: list[tuple[list[Any], list[tuple[str, str, list[str]]]]] = [
    # items, turns: role, text, ids of calls
    ([USER], [("user", ASK, [])]),
    ([USER, THOUGHT, said("assistant", "42"), USER], [("user", ASK, []), ("assistant", "42", []), ("user", ASK, [])]),
    ([USER, call("a"), output("a")], [("user", ASK, []), ("assistant", "", ["a"]), ("tool", "42", [])]),
    (
        [
            USER,
            THOUGHT,
            said("assistant", "One. "),
            call("a"),
            said("assistant", "Two."),
            call("b"),
            output("a"),
            output("b"),
        ],
        [("user", ASK, []), ("assistant", "One. Two.", ["a", "b"]), ("tool", "42", []), ("tool", "42", [])],
    ),
    (
        [USER, call("a"), output("a"), call("a"), output("a", [{"type": "input_text", "text": "4"}])],
        [("user", ASK, []), ("assistant", "", ["a"]), ("tool", "42", []), ("assistant", "", ["a"]), ("tool", "4", [])],
    ),
    ([USER, call("a"), output("a", [])], [("user", ASK, []), ("assistant", "", ["a"]), ("tool", "", [])]),
    ([USER, call("a"), USER], [("user", ASK, []), ("assistant", "", ["a"]), ("user", ASK, [])]),
    ([said("assistant", "x"), said("assistant", "y")], [("assistant", "x", []), ("assistant", "y", [])]),
    ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}], [("assistant", "No.", [])]),
]


def read(items: Any, **fields: Any) -> ResponseRequest:
    asked, ignored = read_request(ResponseRequest, {"input": items, **fields}, strict=False)
    assert not ignored
    return asked


@pytest.mark.parametrize(("items", "turns"), CONVERSATIONS)
def test_items_become_turns(items: list[Any], turns: list[tuple[str, str, list[str]]]) -> None:
    messages = messages_of(read(items).chat().messages)
    assert [(one.role, one.content, [c.id for c in one.tool_calls]) for one in messages] == turns


def test_as_many_items_as_may_be_are_taken() -> None:
    assert len(read([USER] * 1024, instructions="Be brief.").chat().messages) == 1025


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input": [output("a")]}, "input"),
    ({"input": [USER, call("a"), output("b")]}, "input"),
    ({"input": [USER, call("a"), output("a"), output("a")]}, "input"),
    ({"input": [USER, call("a"), call("a"), output("a")]}, "input"),
    ({"input": [USER, call("a"), USER, output("a")]}, "input"),
    ({"input": [USER, call("a", "{"), output("a")]}, "input"),
    ({"input": [USER, call("a", "[]"), output("a")]}, "input"),
    ({"input": [USER, call("a", '{"a": NaN}'), output("a")]}, "input"),
    ({"input": [USER, call("", "{}")]}, "input"),
    ({"input": [THOUGHT]}, "input"),
    ({"input": []}, "input"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
    ({"input": [{"type": 5, "role": "user", "content": "x"}]}, "input"),
    ({"input": [5]}, "input"),
    ({"input": [{"role": "tool", "content": "x"}]}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input"),
    ({"input": ASK, "max_output_tokens": 10**6}, "input"),
    ({"input": ASK, "tools": [{"type": "web_search"}]}, "tools"),
    ({"input": ASK, "tools": [{"type": "function", "function": {"name": "add"}}]}, "tools"),
    ({"input": ASK, "tools": [ADD, ADD]}, "tools"),
    ({"input": ASK, "tools": [{**ADD, "name": "a b"}]}, "tools"),
    ({"input": ASK, "tools": [{**ADD, "parameters": {"not": {}}}], "tool_choice": "required"}, "tools"),
    ({"input": ASK, "tool_choice": "required"}, "tool_choice"),
    ({"input": ASK, "tools": [ADD], "tool_choice": {"type": "function", "name": "fly"}}, "tool_choice"),
    (
        {"input": ASK, "tools": [ADD], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
        "tool_choice",
    ),
    ({"input": ASK, "tools": [ADD], "text": {"format": {"type": "json_object"}}}, "text"),
    ({"input": ASK, "tools": [ADD], "ponder": {"vote": 2}}, "tools"),
    ({"input": ASK, "ponder": {"vote": 1}}, "ponder"),
    ({"input": ASK, "ponder": {"votes": 2}}, "ponder"),
    ({"input": ASK, "ponder": {"best_of": 2}}, "ponder"),
    ({"input": ASK, "text": {"format": {"type": "json_schema", "name": "x"}}}, "text"),
    ({"input": ASK, "text": {"format": {"type": "json_schema", "name": "x" * 65, "schema": {}}}}, "text"),
    ({"input": ASK, "text": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, "text"),
    ({"input": ASK, "previous_response_id": "resp_1"}, "previous_response_id"),
    ({"input": ASK, "conversation": "conv_1"}, "conversation"),
    ({"input": ASK, "prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"input": ASK, "background": True}, "background"),
    ({"input": ASK, "top_logprobs": 2}, "top_logprobs"),
    ({"input": ASK, "include": ["message.output_text.logprobs"]}, "include"),
    ({"input": ASK, "n": 2}, "n"),
    ({"input": ASK, "metadata": {"a": 1}}, "metadata"),
]


@pytest.mark.parametrize(("body", "param"), WRONG, ids=lambda one: json.dumps(one)[:60])
def test_what_cannot_be_done_is_named(server: Running, body: dict[str, Any], param: str) -> None:
    for stream in (False, True):
        reply = server.post("/v1/responses", {**body, "stream": stream})
        assert reply.status_code == 400 and reply.json()["error"]["param"] == param, reply.text


def test_deltas_become_items_that_open_grow_and_close() -> None:
    made = ToolCall(name="add", arguments='{"a": 1}', id="call_1")
    out = Output("x")
    deltas = [
        Delta(index=0, kind="thinking", text="h"),
        Delta(index=0, kind="thinking", text="m"),
        Delta(index=0, kind="answer", text="One."),
        Delta(index=0, kind="call", call=made),
        Delta(index=0, kind="answer", text="Two."),
        Delta(index=0, reason="length"),
    ]
    events = [event for delta in deltas for event in out.take(delta)]
    assert [(item["type"], item["status"]) for item in out.items] == [
        ("reasoning", "completed"),
        ("message", "completed"),
        ("function_call", "completed"),
        ("message", "incomplete"),
    ]
    assert len({item["id"] for item in out.items}) == 4
    opened: dict[int, Any] = {}
    for name, fields in events:  # one at a time, in order, and what is done is what has grown
        place = fields["output_index"]
        if name == "output_item.added":
            assert place == len(opened)
            opened[place] = {"id": fields["item"]["id"], "text": ""}
            continue
        assert place == len(opened) - 1
        if name.endswith(".delta"):
            assert fields["item_id"] == opened[place]["id"]
            opened[place]["text"] += fields["delta"]
        elif name == "output_item.done":
            assert fields["item"] == out.items[place]
    assert [one["text"] for one in opened.values()] == ["hm", "One.", '{"a": 1}', "Two."]


def test_a_withheld_reply_holds_the_refusal_alone() -> None:
    out = Output("x")
    for delta in (
        Delta(index=0, kind="answer", text="How to"),
        Delta(index=0, kind="refusal", text="No."),
        Delta(index=0, reason="content_filter"),
    ):
        out.take(delta)
    [item] = out.items
    assert item["content"] == [{"type": "refusal", "refusal": "No."}] and item["status"] == "incomplete"


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "add"}], ids=str)
def test_a_call_whole_and_streamed(client: openai.OpenAI, choice: Any) -> None:
    fields: Any = {"model": "micro", "input": ASK, "tools": [ADD], "tool_choice": choice, "extra_body": {"seed": 3}}
    whole = client.responses.create(**fields)
    [made] = [item for item in whole.output if item.type == "function_call"]
    assert whole.status == "completed" and made.name == "add" and made.call_id
    Draft202012Validator(SCHEMA).validate(json.loads(made.arguments))
    with client.responses.stream(**fields) as stream:
        kinds, grown = [], ""
        for event in stream:
            kinds.append(event.type)
            grown += event.delta if event.type == "response.function_call_arguments.delta" else ""
        final = stream.get_final_response()
    [streamed] = [item for item in final.output if item.type == "function_call"]
    assert streamed.arguments == made.arguments == grown
    order = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
    assert [kind.removeprefix("response.") for kind in kinds if "function_call" in kind or "item" in kind][-4:] == order
    assert [item.type for item in final.output] == [item.type for item in whole.output]


def test_the_next_turn_reads_calls_and_outputs(client: openai.OpenAI, server: Running) -> None:
    """The same conversation as chat completions have it gives the same reply."""
    first = client.responses.create(
        model="micro", input=ASK, tools=[ADD, NOW], tool_choice="required", extra_body={"seed": 3}
    )
    made = next(item for item in first.output if item.type == "function_call")
    items: Any = [USER, *(item.to_dict() for item in first.output), output(made.call_id)]
    second = client.responses.create(
        model="micro", input=items, tools=[ADD, NOW], tool_choice="none", max_output_tokens=60, extra_body={"seed": 4}
    )
    called = {"id": made.call_id, "type": "function", "function": {"name": made.name, "arguments": made.arguments}}
    messages = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": made.call_id, "content": "42"},
    ]
    chat = server.post("/v1/chat/completions", {"messages": messages, "seed": 4, "max_tokens": 60}).json()
    assert second.output_text == chat["choices"][0]["message"]["content"]
    assert second.usage is not None and second.usage.input_tokens == chat["usage"]["prompt_tokens"]


def test_votes_and_checks_are_those_of_the_chat(client: openai.OpenAI, server: Running) -> None:
    plan = {"vote": 4, "check": {"kind": "math", "answer": "42"}, "audit": True}
    chat = server.chat(ASK, seed=5, ponder=plan)
    extra = {"seed": 5, "ponder": plan}
    whole = client.responses.create(model="micro", input=ASK, extra_body=extra)
    own = whole.to_dict()["ponder"]
    assert isinstance(own, dict) and own["vote"] == chat["ponder"]["vote"] and own["check"] == chat["ponder"]["check"]
    assert own["audit"] == chat["ponder"]["audit"] and own["cost"]["amount"] > 0
    assert whole.output_text == chat["choices"][0]["message"]["content"]
    assert whole.usage is not None and whole.usage.output_tokens == chat["usage"]["completion_tokens"]
    with httpx2.stream(
        "POST", server.url + "/v1/responses", json={"input": ASK, **extra, "stream": True}, timeout=60
    ) as stream:
        lines = list(stream.iter_lines())
    assert any(line.startswith(": vote ") for line in lines)
    last = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert last["response"]["ponder"]["vote"] == own["vote"] and last["type"] == "response.completed"


def test_retries_and_budgets(client: openai.OpenAI) -> None:
    plan = {"retries": 2, "check": {"kind": "math", "answer": "no number"}}
    reply = client.responses.create(
        model="micro", input=ASK, extra_body={"seed": 5, "ponder": plan, "thinking_token_budget": 5}
    )
    own: Any = reply.to_dict()["ponder"]
    assert own["retries"]["made"] == 2
    assert reply.usage is not None and reply.usage.output_tokens_details.reasoning_tokens < 3 * 20


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": ASK, "max_output_tokens": 10**6}),
        ("/v1/chat/completions", {"messages": [USER], "max_completion_tokens": 10**6}),
        ("/v1/completions", {"prompt": ASK, "max_tokens": 10**6}),
    ],
)
def test_too_long_for_the_window_is_told_in_words_of_each_interface(server: Running, path: str, body: Any) -> None:
    error = server.post(path, body).json()["error"]
    assert error["code"] == "context_length_exceeded" and "ask for fewer" in error["message"]
    assert "max_" not in error["message"]


def test_an_error_in_the_middle_is_the_last_event() -> None:
    """OpenAI's client raises for it."""
    import asyncio
    from types import SimpleNamespace

    from ponder.serve.responses import _Form

    class Failing:
        async def deltas(self) -> Any:
            yield None, Delta(index=0, kind="answer", text="4")
            raise Fault(500, "Broken.")

    server: Any = SimpleNamespace(
        about=SimpleNamespace(name="m"),
        config=SimpleNamespace(prices=None),
        defaults=SimpleNamespace(temperature=1.0, top_p=1.0),
    )
    reply: Any = Failing()

    async def events() -> list[str]:
        return [one async for one in _Form("resp_x", server, read(ASK), reply).events()]

    name, _, data = asyncio.run(events())[-1].partition("\n")
    told = json.loads(data.removeprefix("data: "))
    assert name == "event: error" and told["type"] == "error" and told["message"] == "Broken."
    assert told["error"] == {"message": "Broken.", "type": "server_error", "param": None, "code": "server_error"}
