"""What servers send, read: forms of thinking, streams, and everything that is no reply."""

import json
from typing import Any

import pytest
from dialects import DIALECTS
from hypothesis import given
from hypothesis import strategies as st

from ponder.ask import Reply
from ponder.ask.faults import FailedReply, MalformedReply
from ponder.ask.reply import read_reply as read
from ponder.ask.reply import split_reply


def read_reply(text: str) -> Reply:
    return read(text, 64)


def read_stream(lines: list[str]) -> Reply:
    return read("".join(line + "\n\n" for line in lines), 64)


def body(message: Any, finish: Any = "stop", usage: Any = None) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})


@pytest.mark.parametrize(
    ("message", "finish", "thinking", "answer", "well_formed"),
    [
        ({"content": "5", "reasoning_content": " 2+3=5 "}, "stop", "2+3=5", "5", True),  # DeepSeek's own interface
        ({"content": "5", "reasoning": "2+3=5"}, "stop", "2+3=5", "5", True),  # newer vLLM
        ({"content": "<think>\n2+3=5\n</think>\n\n5"}, "stop", "2+3=5", "5", True),
        ({"content": "2+3=5\n</think>\n\n5"}, "stop", "2+3=5", "5", True),  # the server's template wrote the first tag
        ({"content": "5"}, "stop", None, "5", True),
        ({"content": "<think>2+3=5"}, "stop", "2+3=5", None, False),
        ({"content": None, "reasoning_content": "2+3"}, "length", "2+3", None, False),  # thought until the limit
        ({"content": "4 or", "reasoning_content": "2+3"}, "length", "2+3", "4 or", False),
        ({"content": "5"}, "length", None, None, False),
        ({"content": None}, "stop", None, None, False),
        ({"content": "  "}, "stop", None, None, False),
    ],
)
def test_forms(message: Any, finish: str, thinking: str | None, answer: str | None, well_formed: bool) -> None:
    response = split_reply(read_reply(body(message, finish)))
    assert (response.thinking, response.answer, response.well_formed) == (thinking, answer, well_formed)
    assert well_formed == (response.problem == "")


def test_a_stream_of_something_else() -> None:
    """Text where no chat completion has it: told apart from an empty reply."""
    for choice in ({"text": "5"}, {"delta": {"text": "5"}}, {"delta": {"role": "assistant", "reply": "5"}}):
        lines = [json.dumps({"choices": [choice]}), json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})]
        with pytest.raises(FailedReply, match=r"seems to stand in (text|reply), where no chat completion"):
            read_stream([f"data: {line}" for line in [*lines, "[DONE]"]])
    empty = json.dumps({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]})
    assert read_stream([f"data: {empty}", "data: [DONE]"]).text == ""


def test_servers_that_do_not_count() -> None:
    reply = read_reply(body({"content": "5"}, usage={"prompt_tokens": 0, "completion_tokens": 0}))
    assert reply.completion_tokens is None


def test_tokens() -> None:
    reply = read_reply(body({"content": "5"}, usage={"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}))
    assert (reply.prompt_tokens, reply.completion_tokens) == (7, 9)
    assert read_reply(body({"content": "5"})).completion_tokens is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"),
        ("<html>bad gateway</html>", "no JSON"),
        ("[]", "no choices"),
        ("null", "no choices"),
        ("{}", "no choices"),
        ('{"choices": []}', "no choices"),
        ('{"choices": [{"message": {"content": "5"}, "finish_rea', "no JSON"),
        ('{"error": {"message": "overloaded"}}', "an error .*overloaded"),
    ],
)
def test_no_reply(text: str, says: str) -> None:
    with pytest.raises(MalformedReply, match=says):
        read_reply(text)


def test_withheld() -> None:
    with pytest.raises(FailedReply, match="content_filter"):
        read_reply(body({"content": ""}, "content_filter"))


def event(**value: Any) -> str:
    return "data: " + json.dumps(value)


PIECES = [
    event(choices=[{"delta": {"role": "assistant", "reasoning_content": "2+3"}, "finish_reason": None}]),
    "",
    event(choices=[{"delta": {"reasoning_content": "=5"}}]),
    ": keep alive",
    event(choices=[{"delta": {"content": "5"}}]),
    event(choices=[{"delta": {}, "finish_reason": "stop"}]),
    event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 5}),
    "data: [DONE]",
]


def test_a_stream() -> None:
    assert read_stream(PIECES) == Reply(
        text="5", reasoning="2+3=5", finish_reason="stop", prompt_tokens=7, completion_tokens=5
    )


@pytest.mark.parametrize("length", range(1, 6))
def test_a_cut_stream(length: int) -> None:
    with pytest.raises(MalformedReply, match="ended before"):
        read_stream(PIECES[:5][:length])


def test_a_broken_event() -> None:
    with pytest.raises(MalformedReply, match="no JSON"):
        read_stream([*PIECES[:2], 'data: {"choices": [{"del'])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["stop", "text", "thinking"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def spoil(value: Any, data: st.DataObject) -> Any:
    """The value with something put in place of some of what it holds."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(ANYTHING)
    if isinstance(value, dict):
        return {key: spoil(one, data) for key, one in value.items()}
    return [spoil(one, data) for one in value] if isinstance(value, list) else value


@given(st.data(), st.sampled_from(sorted(DIALECTS)), st.booleans())
def test_whatever_comes_is_a_reply_or_a_named_fault(data: st.DataObject, name: str, whole: bool) -> None:
    dialect = DIALECTS[name]
    if whole:
        text = json.dumps(spoil(json.loads(dialect.whole()), data))
    else:
        events = [line[6:] for line in dialect.stream().replace("\r", "\n").split("\n") if line.startswith("data: {")]
        text = "".join(f"data: {json.dumps(spoil(json.loads(one), data))}\n\n" for one in events)
    try:
        reply = read_reply(text)
    except (MalformedReply, FailedReply) as fault:
        assert str(fault)
    else:
        reply.text.encode(), split_reply(reply)
