"""What is written by hand on the wire is what a JSON library would write, and what is wrong with a body is told in its
own words."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.policy import load_policy
from ponder.recipe.serve import ServeConfig
from ponder.serve.choice import Choice, Delta
from ponder.serve.fault import Fault
from ponder.serve.reply import ChatForm
from ponder.serve.wire import ChatRequest, CompletionRequest, Sampled, read_request


@pytest.mark.parametrize("named", ["reasoning_content", "reasoning", "both"])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1), kind=st.sampled_from(["thinking", "answer"]))
def test_text_is_the_chunk(named: str, text: str, kind: str) -> None:
    form = ChatForm("chatcmpl-1", 'a "model"', "ponder-1", ServeConfig(reasoning_field=named))  # type: ignore[arg-type]
    delta = Delta(index=3, kind=kind, text=text)  # type: ignore[arg-type]
    choice = Choice(3, VOICE, frozenset())
    assert json.loads(form.text(delta)) == form.chunk(choice, delta, first=False, with_logprobs=False)


VOICE = load_policy("micro", precision="fp32").voice()


HI = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (CompletionRequest, {"prompt": None}, ["prompt: Input should be a valid string, got null"]),
        (CompletionRequest, {"prompt": {"text": 1}}, ["prompt: Input should be a valid array"]),
        (CompletionRequest, {"prompt": [True]}, ["prompt.0: Input should be a valid integer, got true"]),
        (ChatRequest, {}, ["messages: Field required, got {}"]),
        (ChatRequest, {"messages": []}, ["messages: Tuple should have at least 1 item"]),
        (
            ChatRequest,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            ["messages.0.content.0.type: Input should be 'text'", "messages.0.content.0.text: Field required"],
        ),
        (
            ChatRequest,
            {"messages": [HI, {"role": "user", "text": "hi"}]},
            ["messages.1: a message of the role user needs content: a text, or parts with text"],
        ),
        (ChatRequest, {"messages": [{**HI, "content": "\ud83d"}]}, ["The body holds half of a surrogate pair"]),
        (
            ChatRequest,
            {"messages": [HI], "response_format": {"type": "yaml"}, "tools": [{"type": "function", "function": {}}]},
            ["response_format: Input tag 'yaml' does not match", "tools.0.function.name: Field required"],
        ),
    ],
)
def test_a_complaint_says_where_in_the_body_it_is(kind: type[Sampled], body: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(Fault) as raised:
        read_request(kind, body, strict=False)
    text = str(raised.value)
    assert all(part in text for part in said), text
    assert not any(word in text for word in (".str:", "tuple[", "function-after", "validator", "found using", " at 0x"))
    assert "at least 1 item" not in text or body == {"messages": []}
