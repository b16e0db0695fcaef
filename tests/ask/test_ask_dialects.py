"""Every dialect over a real connection, whole and streamed; errors, refusals, and what is not worth another try."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_server import Action, ChatServer, said
from dialects import ANSWER, DIALECTS, THOUGHT

from ponder.ask import Ask, Reply, RequestLog, ask_all
from ponder.ask.endpoint import EndpointAsker
from ponder.errors import EndpointError
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.text.think import Response

LIMIT = 64


def asked(endpoint: Endpoint, path: Path, count: int = 1, **sampling: Any) -> tuple[list[Reply], list[Response]]:
    asks = [Ask(id=f"sum/{i}", messages=(Message(role="user", content=f"{i}+3"),)) for i in range(count)]
    settings = Sampling(**({"temperature": 0.6, "top_p": 0.95, "max_tokens": LIMIT} | sampling))
    with RequestLog(path) as log:
        asker = EndpointAsker(endpoint, settings, log, seed=1, title="teacher", say=lambda line: None)
        replies = ask_all(asker, asks)
        return replies, [asker.split(reply) for reply in replies]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(server: ChatServer, tmp_path: Path, name: str, stream: bool) -> None:
    dialect = DIALECTS[name]
    server.play = lambda body, tries: Action(body=dialect.stream() if stream else dialect.whole())
    (reply,), (response,) = asked(server.endpoint(stream=stream), tmp_path / "log")
    assert reply.failure == "" and len(server.requests) == 1
    assert (response.thinking, response.answer) == (dialect.thought, ANSWER)
    assert response.well_formed == dialect.finished
    assert reply.finish_reason == ("stop" if dialect.finished else "length")
    if dialect.finished:
        assert reply.completion_tokens == (9 if dialect.usage and "prompt_tokens" in dialect.usage else None)


def test_a_server_that_streams_unasked_or_not_at_all(server: ChatServer, tmp_path: Path) -> None:
    dialect = DIALECTS["DeepSeek"]
    for stream in (False, True):
        server.play = lambda body, tries: Action(body=dialect.whole() if body.get("stream") else dialect.stream())
        replies, _ = asked(server.endpoint(stream=stream), tmp_path / str(stream))
        assert [(reply.text, reply.reasoning) for reply in replies] == [(ANSWER, THOUGHT)]


def test_thinking_in_two_places_is_not_well_formed(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("<think>or 6?</think>5", reasoning_content="2+3=5")
    _, (response,) = asked(server.endpoint(), tmp_path / "log")
    assert (response.thinking, response.answer) == ("2+3=5\n\nor 6?", "5") and not response.well_formed


def choices(message: Any, **fields: Any) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop", **fields}]})


NEVER = {  # a reply that was paid and would be the same again, and what the failure says
    "content that is a number": (choices({"content": 5}), "neither text nor a list of parts but int"),
    "a part of an unknown kind": (choices({"content": [{"type": "image_url", "image_url": {}}]}), "'image_url'"),
    "reasoning of an unknown form": (choices({"content": "5", "reasoning": {"kind": 1}}), "no text that can be read"),
    "sensitive, in MiniMax's words": (
        '{"choices": null, "base_resp": {"status_code": 1026, "status_msg": "input sensitive"}}', "input sensitive",
    ),
    "no message": (json.dumps({"choices": [{"finish_reason": "stop"}]}), "has no message"),
    "a tool's call": (choices({"content": None, "tool_calls": [{"id": "1"}]}), "calls a tool"),
    "tool calls at the end": (choices({"content": ""}, finish_reason="tool_calls"), "'tool_calls'"),
    "withheld": (choices({"content": ""}, finish_reason="content_filter"), "withheld .*'content_filter'"),
    "an unknown word": (choices({"content": "5"}, finish_reason="tired"), "'tired'"),
    "neither word nor count": (choices({"content": "5" * LIMIT}, finish_reason=None), "nobody knows whether"),
    "too long, said with status 200": (
        '{"error": {"message": "context too long", "type": "invalid_request_error"}}', "context too long",
    ),
    "moderated by OpenRouter": (
        '{"error": {"code": 403, "message": "Input flagged", "metadata": {"reasons": ["x"]}}}', "Input flagged",
    ),
    "a code of the client's": ('{"object": "error", "message": "no such thing", "code": 400}', "no such thing"),
    "in the middle of a stream": (
        'data: {"choices": [{"delta": {"content": "5"}}]}\n\ndata: {"error": {"message": "bad words", "code": 400}}\n',
        "bad words",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_what_can_never_succeed_is_asked_once(server: ChatServer, tmp_path: Path, name: str) -> None:
    body, says = NEVER[name]
    server.play = lambda _, tries: Action(body=body)
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert len(server.requests) == 1
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(reply.failure)


def test_bytes_that_are_no_text_are_asked_for_once(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(body=said("5").body, encoding="utf-16")
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert "no text" in reply.failure and len(server.requests) == 1


def test_one_moderated_prompt_stops_nothing(server: ChatServer, tmp_path: Path) -> None:
    flagged = Action(status=403, body='{"error": {"code": 403, "message": "Input flagged", "metadata": {}}}')
    server.play = lambda body, tries: flagged if body["messages"][0]["content"] == "1+3" else said("8")
    replies, _ = asked(server.endpoint(), tmp_path / "log", count=3)
    assert [bool(reply.failure) for reply in replies] == [False, True, False] and len(server.requests) == 3


STOPS = {
    "OpenAI's empty account": Action(
        status=429, body='{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    ),
    "MiniMax's empty account": Action(
        body='{"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}'
    ),
    "Gemini's wrong key": Action(status=400, body='[{"error": {"code": 400, "message": "API key not valid."}}]'),
    "a wrong key with status 200": Action(body='{"error": {"code": 401, "message": "no auth"}}'),
    "LM Studio's wrong path": Action(body='{"error": "Unexpected endpoint or method. (POST /v2/x)"}'),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_no_request_can_mend_stops_at_once(server: ChatServer, tmp_path: Path, name: str) -> None:
    server.play = lambda body, tries: STOPS[name]
    with pytest.raises(EndpointError, match="check the"):
        asked(server.endpoint(max_concurrency=1), tmp_path / "log", count=5)
    assert len(server.requests) == 1


def test_counts_that_cannot_be_are_not_believed(server: ChatServer, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 10**30, "total_tokens": 10**30}
    server.play = lambda body, tries: Action(body=json.dumps({**json.loads(said("8").body), "usage": usage}))
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("8", 7, None)


def test_a_quota_of_a_minute_passes(server: ChatServer, tmp_path: Path) -> None:
    words = '[{"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}]'
    server.play = lambda body, tries: Action(status=429, body=words) if tries == 0 else said("8")
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert reply.text == "8" and len(server.requests) == 2


PASSING = {
    "message null": choices(None),
    "choices null": '{"choices": null}',
    "choices null and an error": '{"choices": null, "error": {"message": "busy", "code": 429}}',
    "an error without code": '{"error": {"message": "upstream went away"}}',
    "Gemini's list": '[{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]',
    "insufficient_system_resource": choices({"content": "2+"}, finish_reason="insufficient_system_resource"),
    "an error in the middle of a stream": (
        'data: {"choices": [{"delta": {"content": "5"}}]}\n\ndata: {"error": {"message": "x", "type": "server_error"}}'
        "\n\ndata: [DONE]\n\n"
    ),
    "Anthropic's error event": (
        'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    ),
    "a stream cut in an event": 'data: {"choices": [{"delta": {"content": "5"}}]}\n\ndata: {"choices": [{"del',
    "a stream cut between events": 'data: {"choices": [{"delta": {"content": "5"}}]}\n\n',
    "nested beyond reason": "[" * 100_000,
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_asked_again(server: ChatServer, tmp_path: Path, name: str) -> None:
    server.play = lambda body, tries: Action(body=PASSING[name]) if tries == 0 else said("8")
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert (reply.text, reply.failure, len(server.requests)) == ("8", "", 2)


BUSY = {
    "a gateway's quota": (429, {"fault": {"faultstring": "Rate limit quota violation. Quota limit exceeded."}}),
    "took too long": (504, "The upstream server took too long to respond"),
    "a page of a proxy": (502, "<html><body>Your request violates nothing; the context length was fine.</body></html>"),
    "a slow client": (408, "Request took too long, please try again"),
    "an error that took too long": (503, {"error": {"message": "The request took too long."}}),
}


@pytest.mark.parametrize("name", BUSY)
def test_words_do_not_overrule_a_status_that_passes(server: ChatServer, tmp_path: Path, name: str) -> None:
    status, body = BUSY[name]
    text = body if isinstance(body, str) else json.dumps(body)
    server.play = lambda _, tries: Action(status=status, body=text) if tries == 0 else said("8")
    (reply,), _ = asked(server.endpoint(), tmp_path / "log")
    assert (reply.text, reply.failure, len(server.requests)) == ("8", "", 2)


REFUSALS = {
    "OpenAI": (
        {"error": {"message": "Unsupported value: 'temperature' does not support 0.6 with this model. Only the default "
                   "(1) value is supported.", "param": "temperature", "code": "unsupported_value"}},
        "temperature", {"leave_out": ("temperature",)},
    ),
    "Anthropic": (
        {"type": "error", "error": {"type": "invalid_request_error",
         "message": "`top_p` and `thinking`: `top_p` must be unset"}},
        "top_p", {"leave_out": ("top_p",)},
    ),
    "FastAPI": (
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        "seed", {"send_seed": False},
    ),
    "Groq": ({"error": {"message": "property 'stream_options' is unsupported"}}, "stream_options",
             {"leave_out": ("stream_options",)}),
    "length": (
        {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                   "'max_completion_tokens' instead.", "param": "max_tokens"}},
        "max_tokens", {"length_parameter": "max_completion_tokens"},
    ),
    "Kimi": ({"error": {"message": "invalid temperature: only 1 is allowed for this model"}}, "temperature",
             {"leave_out": ("temperature",)}),
    "plain text": ("temperature is not supported by this server", "temperature", {"leave_out": ("temperature",)}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_parameter_is_recognised_and_a_setting_mends_it(
    server: ChatServer, tmp_path: Path, name: str
) -> None:
    words, parameter, cure = REFUSALS[name]
    refusal = Action(
        status=422 if name == "FastAPI" else 400, body=words if isinstance(words, str) else json.dumps(words)
    )
    server.play = lambda body, tries: refusal if parameter in body else said("8")
    fields: Mapping[str, Any] = {"stream": True, "send_seed": True, "max_concurrency": 1}
    with pytest.raises(EndpointError) as caught:
        asked(server.endpoint(**fields), tmp_path / "log", count=5)
    assert len(server.requests) == 1  # all others would fare alike
    setting, value = next(iter(cure.items()))
    assert setting in str(caught.value) and (
        isinstance(value, bool) or str(value[0] if isinstance(value, tuple) else value) in str(caught.value)
    )
    replies, _ = asked(server.endpoint(**(fields | cure)), tmp_path / "log", count=5)
    assert [reply.text for reply in replies] == ["8"] * 5


def test_a_prompt_that_is_too_long_stops_nothing(server: ChatServer, tmp_path: Path) -> None:
    words = "The maximum context length is 8 tokens. Reduce the messages or max_tokens: not supported."
    server.play = lambda body, tries: (
        Action(status=400, body=json.dumps({"error": {"message": words, "param": "messages"}}))
        if body["messages"][0]["content"] == "1+3"
        else said("8")
    )
    replies, _ = asked(server.endpoint(), tmp_path / "log", count=3)
    assert [bool(reply.failure) for reply in replies] == [False, True, False]
    assert len(server.requests) == 3


def test_what_is_left_out_is_part_of_what_was_asked(server: ChatServer, tmp_path: Path) -> None:
    asked(server.endpoint(), tmp_path / "log")
    asked(server.endpoint(leave_out=("temperature",)), tmp_path / "log")
    assert ["temperature" in body for body in server.requests] == [True, False]


@pytest.mark.parametrize(
    "words", ["max_tokens is too large: 512. This model supports at most 8", "too many tokens: max tokens must be <= 8"]
)
def test_a_limit_that_is_too_large_for_the_server(server: ChatServer, tmp_path: Path, words: str) -> None:
    server.play = lambda body, tries: Action(status=400, body=json.dumps({"message": words}))
    with pytest.raises(EndpointError, match=r"lower sampling\.max_tokens"):
        asked(server.endpoint(max_concurrency=1), tmp_path / "log", count=3)
    assert len(server.requests) == 1
