"""The client against a real server that misbehaves in every way servers do."""

import email.utils
import gzip
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_server import Action, ChatServer, said
from pydantic import ValidationError

from ponder.ask import Ask, Reply, RequestLog, ask_all, client
from ponder.ask.client import _SURROUNDINGS, ChatClient, _retry_after
from ponder.ask.endpoint import EndpointAsker
from ponder.errors import EndpointError
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.records import Message


def asks(count: int) -> list[Ask]:
    return [Ask(id=f"sum/{i}", messages=(Message(role="user", content=f"{i}+3"),)) for i in range(count)]


def run(endpoint: Endpoint, path: Path, wanted: list[Ask], lines: list[str] | None = None) -> list[Reply]:
    with RequestLog(path) as log:
        say = (lines if lines is not None else []).append
        asker = EndpointAsker(
            endpoint, Sampling(temperature=0.6, top_p=0.95, max_tokens=64), log, seed=1, title="teacher", say=say
        )
        return ask_all(asker, wanted)


def test_what_is_sent_and_what_comes_back(server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    prices = {"price_per_million_input": 2.0, "price_per_million_output": 10.0}
    lines: list[str] = []
    endpoint = server.endpoint(api_key_env="TEACHER_KEY", **prices)
    replies = run(endpoint, tmp_path / "log", asks(3), lines)
    assert [reply.text for reply in replies] == ["<think>2+3=5</think>5"] * 3
    assert replies[0].cost == pytest.approx((7 * 2 + 5 * 10) / 1e6)
    assert sorted(body["messages"][0]["content"] for body in server.requests) == ["0+3", "1+3", "2+3"]
    assert {key: value for key, value in server.requests[0].items() if key != "messages"} == {
        "model": "teacher", "temperature": 0.6, "top_p": 0.95, "max_tokens": 64,
    }  # fmt: skip
    assert "Bearer sk-secret" in server.headers[0].values()
    line = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert line["parameters"]["temperature"] == 0.6 and line["tries"] == 1 and line["id"].startswith("sum/")
    assert "sk-secret" not in (tmp_path / "log").read_text() + "".join(lines)
    assert "3 of 3 replies" in lines[-1] and "cost" in lines[-1] and "15 tokens" in lines[-1]


def test_options_of_the_request(server: ChatServer, tmp_path: Path) -> None:
    endpoint = server.endpoint(length_parameter="max_completion_tokens", send_seed=True)
    run(endpoint, tmp_path / "log", [*asks(1), Ask(id="sum/0", messages=asks(1)[0].messages, number=1)])
    first, second = server.requests
    assert "max_tokens" not in first and first["max_completion_tokens"] == 64
    assert first["seed"] != second["seed"]
    assert "authorization" not in {name.lower() for name in server.headers[0]}


CURABLE = {
    "429": Action(status=429, headers={"Retry-After": "0.01"}, body="slow down"),
    "500": Action(status=500, body="oops"),
    "503 with a date": Action(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "no JSON": Action(body="<html>"),
    "half a JSON": Action(body=said("5").body[:-9]),
    "no choices": Action(body='{"choices": []}'),
    "an error with status 200": Action(body='{"error": "overloaded"}'),
    "cut": Action(body=said("5").body, cut=True),
    "too late": Action(body=said("5").body, wait=2.0),
}


@pytest.mark.parametrize("trouble", CURABLE)
def test_trouble_that_passes(server: ChatServer, tmp_path: Path, trouble: str) -> None:
    server.play = lambda body, tries: CURABLE[trouble] if tries < 2 else said("8")
    timeout = 1.0 if trouble == "too late" else 30.0
    replies = run(server.endpoint(timeout_seconds=timeout), tmp_path / "log", asks(2))
    assert [(reply.text, reply.failure) for reply in replies] == [("8", "")] * 2
    assert len(server.requests) == 6


@pytest.mark.parametrize("trouble", CURABLE)
def test_trouble_that_stays_is_a_listed_failure(server: ChatServer, tmp_path: Path, trouble: str) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        return CURABLE[trouble] if body["messages"][0]["content"] == "1+3" else said("8")

    server.play = play
    endpoint = server.endpoint(timeout_seconds=1.0 if trouble == "too late" else 30.0, retries=1)
    replies = run(endpoint, tmp_path / "log", asks(3))
    assert [reply.text for reply in replies] == ["8", "", "8"]
    assert "after 2 tries" in replies[1].failure
    assert len(server.requests) == 4
    run(endpoint, tmp_path / "log", asks(3))  # the next session asks only for what failed
    assert [body["messages"][0]["content"] for body in server.requests[4:]] == ["1+3"] * 2


def test_a_request_that_is_wrong_itself_is_not_repeated(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=400, body='{"error": "prompt too long"}')
    (reply,) = run(server.endpoint(), tmp_path / "log", asks(1))
    assert "status 400" in reply.failure and "prompt too long" in reply.failure
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "check the key"),
        (403, "key"),
        (404, "model's name"),
        (405, "base_url"),
        (302, "to .'http://elsewhere.invalid/'.,"),
    ],
)
def test_a_refusal_stops_at_once(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, advice: str
) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")
    headers = {"Location": "http://elsewhere.invalid/"}
    server.play = lambda body, tries: Action(status=status, body="bad key sk-secret", headers=headers)
    with pytest.raises(EndpointError, match=advice) as caught:
        run(server.endpoint(api_key_env="TEACHER_KEY", max_concurrency=2), tmp_path / "log", asks(9))
    assert "sk-secret" not in str(caught.value) and "(key)" in str(caught.value)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_without_end_does_not_fill_the_memory(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(client, "_MOST_BYTES", 2**20)
    body = "data: " + "x" * (3 * 2**20)
    action = Action(body=body)
    if packed:
        content = gzip.compress(body.encode()).decode("latin-1")
        action = Action(body=content, headers={"Content-Encoding": "gzip"}, encoding="latin-1")
    server.play = lambda body, tries: action
    (reply,) = run(server.endpoint(), tmp_path / "log", asks(1))
    assert reply.failure == "the reply is longer than 1 MiB" and len(server.requests) == 1


def test_a_server_that_is_down(server: ChatServer, tmp_path: Path) -> None:
    endpoint = server.endpoint(retries=0, max_concurrency=4, max_failures=0.05)
    server.close()
    with pytest.raises(EndpointError, match=r"20 requests in a row .* failed.*nothing received so far is lost"):
        run(endpoint, tmp_path / "log", asks(50))


def test_rows_that_always_fail_do_not_hold_up_a_resumed_run(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=500) if body["messages"][0]["content"] < "3" else said("8")
    endpoint = server.endpoint(retries=0, max_failures=0.8)
    wanted = asks(60)  # 0+3, 1+3, 10+3 to 19+3, 2+3, 20+3 to 29+3: 23 of them
    for _ in range(2):
        replies = run(endpoint, tmp_path / "log", wanted)
        assert [i for i, reply in enumerate(replies) if reply.failure] == [0, 1, 2, *range(10, 30)], replies
    assert len(server.requests) == 60 + 23


def test_too_many_failures_stop_and_what_came_is_kept(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=500) if body["messages"][0]["content"] < "3" else said("8")
    endpoint = server.endpoint(retries=0, max_failures=0.2)
    with pytest.raises(EndpointError, match=r"3 of 10 requests .* max_failures 0.2"):
        run(endpoint, tmp_path / "log", asks(10))
    server.play = lambda body, tries: said("9")
    server.requests.clear()
    assert [reply.text for reply in run(endpoint, tmp_path / "log", asks(10))] == ["9"] * 3 + ["8"] * 7
    assert len(server.requests) == 3


def test_concurrency_is_bounded(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(body=said("8").body, wait=0.03)
    run(server.endpoint(max_concurrency=3), tmp_path / "log", asks(12))
    assert server.busiest == 3


def test_streams(server: ChatServer, tmp_path: Path) -> None:
    pieces = [
        {"choices": [{"delta": {"reasoning_content": "2+3=5"}}]},
        {"choices": [{"delta": {"content": "5"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
    ]
    events = [f"data: {json.dumps(piece)}\n\n" for piece in pieces] + ["data: [DONE]\n\n"]
    server.play = lambda body, tries: Action(body="".join(events if tries else events[:1]))
    (reply,) = run(server.endpoint(stream=True), tmp_path / "log", asks(1))
    assert (reply.text, reply.reasoning, reply.completion_tokens) == ("5", "2+3=5", 5)
    assert server.requests[0]["stream"] is True and len(server.requests) == 2


@pytest.mark.parametrize(("value", "message"), [(None, "not set"), ("  ", "not set"), ("sk\nx", "characters")])
def test_a_key_that_cannot_be_sent(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, message: str
) -> None:
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEACHER_KEY", value)
    with pytest.raises(EndpointError, match=message):
        run(server.endpoint(api_key_env="TEACHER_KEY"), tmp_path / "log", asks(1))


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("7", 7.0), ("1.5", 1.5), ("soon", None), ("-3", None)])
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert _retry_after(header) == seconds


def test_a_server_that_says_now_is_not_asked_seven_times_in_a_moment(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(status=429, headers={"Retry-After": "0"}) if tries < 2 else said("5")
    began = time.monotonic()
    run(server.endpoint(max_wait_seconds=0.2), tmp_path / "log", asks(1))
    assert time.monotonic() - began >= 0.4 and len(server.requests) == 3


def test_retry_after_a_date() -> None:
    in_a_minute = _retry_after(email.utils.formatdate(time.time() + 60, usegmt=True))
    assert in_a_minute is not None and 50 < in_a_minute < 61


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", "a SOCKS proxy needs `pip install socksio`"),
        ("all_proxy", "ftp://127.0.0.1", "Unknown scheme"),
        ("HTTP_PROXY", "http://[::1", "Invalid IPv6 URL"),
        ("HTTPS_PROXY", "http://127.0.0.1:99999", "Port out of range"),
        ("http_proxy", "127.0.0.1:99999", "Port out of range"),
        ("SSL_CERT_FILE", "/nowhere/cert.pem", "No such file"),
    ],
)
def test_surroundings_that_allow_no_connection(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    for one in (*_SURROUNDINGS, "NO_PROXY"):
        monkeypatch.delenv(one, raising=False)
        monkeypatch.delenv(one.lower(), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(EndpointError) as caught:
        ChatClient(Endpoint(base_url=server.url, model="m"))
    assert said in str(caught.value) and f"({name})" in str(caught.value) and "\n" not in str(caught.value)
    if name != "SSL_CERT_FILE":
        monkeypatch.setenv("NO_PROXY", "*")
        ChatClient(Endpoint(base_url=server.url, model="m"))


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:0", "[::1", "127.0.0.1:http"])
def test_addresses_without_a_port_that_is_one(host: str) -> None:
    with pytest.raises(ValidationError, match="is no address"):
        Endpoint(base_url=f"http://{host}/v1", model="m")
