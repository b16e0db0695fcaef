"""`ponder serve` over HTTP, as clients use it."""

import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from ponder.errors import DataError
from ponder.policy import load_policy
from ponder.records import Message
from ponder.rollout import Job, LiveEngine
from ponder.rollout.drawing import Drawing
from ponder.seeds import derive_seed
from ponder.serve.fault import Fault
from ponder.serve.keys import read_keys
from ponder.serve.wire import ChatRequest, read_request
from tests import command
from tests.serve.conftest import Running

ASK = "What is 17 + 25?"
"""The embedded base answers it in one way or another, with or without a thought."""


def events(server: Running, **fields: Any) -> list[str]:
    body = {"messages": [{"role": "user", "content": ASK}], "stream": True, **fields}
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        return [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]


def test_a_reply_is_what_the_engine_samples(server: Running) -> None:
    reply = server.chat(ASK, seed=7, n=2, max_tokens=60)
    policy = load_policy("micro", precision="fp32")
    ids = policy.template.encode(policy.tokenizer, [Message(role="user", content=ASK)])
    seeds = tuple(derive_seed(7, "serve", *ids, choice) for choice in range(2))
    engine = LiveEngine(policy)
    engine.submit(
        Job(prompt_ids=ids, seeds=seeds, max_tokens=60, key="x", drawing=Drawing(temperature=0.6, top_p=0.95))
    )
    written: dict[int, list[int]] = {0: [], 1: []}
    reasons = {}
    while engine.load_now.jobs:
        for piece in engine.step():
            written[piece.choice] += piece.token_ids
            reasons[piece.choice] = piece.reason
    for choice in reply["choices"]:
        silent = policy.voice().silent_ids()
        text = policy.tokenizer.decode([one for one in written[choice["index"]] if one not in silent])
        response = policy.template.split(text, finished=reasons[choice["index"]] == "stop")
        assert choice["message"].get("reasoning_content", "") == (response.thinking or "")
        assert choice["finish_reason"] == reasons[choice["index"]]
        if response.answer is not None:
            assert response.answer in choice["message"]["content"]
    usage = reply["usage"]
    assert usage["prompt_tokens"] == len(ids) == usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"]
    assert usage["completion_tokens"] == sum(map(len, written.values()))
    hit, miss, wrote = (usage[f] for f in ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "completion_tokens"))
    assert reply["ponder"]["cost"] == {"amount": pytest.approx((hit + 4 * miss + 16 * wrote) / 1e6), "currency": "USD"}


def test_a_stream_is_the_same_reply(server: Running) -> None:
    whole = server.chat(ASK, seed=3)
    *chunks, done = events(server, seed=3, stream_options={"include_usage": True})
    assert done == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    deltas = [one["choices"][0]["delta"] for one in parsed if one["choices"]]
    assert deltas[0]["role"] == "assistant" and all("role" not in one for one in deltas[1:])
    assert not any(one.keys() >= {"content", "reasoning_content"} for one in deltas)
    assert all(one[name] for one in deltas for name in ("content", "reasoning_content") if name in one)
    message = whole["choices"][0]["message"]
    assert "".join(one.get("content", "") for one in deltas) == message["content"]
    assert "".join(one.get("reasoning_content", "") for one in deltas) == message.get("reasoning_content", "")
    assert parsed[-1]["choices"] == [] and parsed[-1]["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
    assert parsed[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert "timing" in parsed[-2]["ponder"]
    assert all(one["choices"] for one in map(json.loads, events(server, seed=3)[:-1])), "no chunk that nobody asked for"


def test_the_second_time_the_prompt_is_in_the_cache(server: Running) -> None:
    long = " ".join(f"Say {n}." for n in range(60))
    first, second = (server.chat(long, max_tokens=2)["usage"] for _ in range(2))
    assert second["prompt_cache_hit_tokens"] == (first["prompt_tokens"] - 1) // 32 * 32 > 32
    assert second["prompt_tokens_details"]["cached_tokens"] == second["prompt_cache_hit_tokens"]


def test_without_thinking_the_answer_comes_at_once(server: Running) -> None:
    for off in (
        {"thinking": {"type": "disabled"}},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ):
        reply = server.chat(ASK, seed=1, max_tokens=20, **off)
        assert "reasoning_content" not in reply["choices"][0]["message"]
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


def test_stop_strings_end_the_answer(server: Running) -> None:
    whole = server.chat(ASK, seed=5, thinking={"type": "disabled"})["choices"][0]["message"]["content"]
    assert len(whole) > 1
    cut = server.chat(ASK, seed=5, thinking={"type": "disabled"}, stop=[whole[1:3]])["choices"][0]
    assert cut["message"]["content"] == whole[: whole.index(whole[1:3])]
    assert (cut["finish_reason"], cut["stop_reason"]) == ("stop", whole[1:3])
    assert server.get("/health").json()["jobs"] == 0


def test_logprobs_are_those_of_the_tokens(server: Running) -> None:
    reply = server.chat(ASK, seed=5, logprobs=True)["choices"][0]
    for name in ("content", "reasoning_content"):
        assert all(
            one["logprob"] <= 0 and bytes(one["bytes"]).decode() == one["token"] for one in reply["logprobs"][name]
        )
    assert sum(len(entries) for entries in reply["logprobs"].values()) > 2
    assert all(one["top_logprobs"] == [] for entries in reply["logprobs"].values() for one in entries)


def test_the_most_likely_tokens_stand_beside_those_drawn(server: Running) -> None:
    plain = server.chat(ASK, seed=5, logprobs=True, temperature=1, top_p=1)["choices"][0]
    reply = server.chat(ASK, seed=5, logprobs=True, top_logprobs=4, temperature=1, top_p=1)["choices"][0]
    assert reply["message"] == plain["message"]
    drawn = 0
    for entries in reply["logprobs"].values():
        for one in entries:
            top = one["top_logprobs"]
            told = [other["logprob"] for other in top]
            assert len(top) == 4 and told == sorted(told, reverse=True)
            same = [other["logprob"] for other in top if other["token"] == one["token"]]
            assert same[:1] in ([], [pytest.approx(one["logprob"], abs=1e-5)])
            drawn += bool(same)
    assert drawn > 10, drawn
    [first, *_] = server.chat(ASK, logprobs=True, top_logprobs=20, top_p=1e-9)["choices"][0]["logprobs"]["content"]
    assert len(first["top_logprobs"]) == 1, "of the others nothing could be drawn"
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    with_client = client.chat.completions.create(
        model="micro",
        messages=[{"role": "user", "content": ASK}],
        seed=5,
        top_p=1,
        logprobs=True,
        top_logprobs=2,
        stream=True,
    )
    chunks = [one.choices[0].logprobs for one in with_client if one.choices and one.choices[0].logprobs]
    assert all(len(token.top_logprobs) == 2 for one in chunks for token in one.content or [])


def test_logit_bias_bans_tokens_and_moves_others(server: Running) -> None:
    """-100 is a ban for all that matters; the digits of the usual answer never come then."""
    usual = server.chat(ASK, temperature=0)["choices"][0]["message"]
    written = server.post("/tokenize", {"prompt": usual["reasoning_content"] + usual["content"]}).json()["tokens"]
    banned = sorted(set(written))[-20:]
    body = {"messages": [{"role": "user", "content": ASK}], "temperature": 0, "max_tokens": 40, "logprobs": True}
    reply = server.post("/v1/chat/completions", body | {"logit_bias": {str(one): -100 for one in banned}}).json()
    told = reply["choices"][0]["logprobs"]
    texts = {server.post("/detokenize", {"tokens": [one]}).json()["prompt"] for one in banned}
    assert not texts & {entry["token"] for entries in told.values() for entry in entries}
    forced = server.post("/v1/chat/completions", body | {"logit_bias": {str(banned[0]): 100}, "max_tokens": 5}).json()
    assert forced["usage"]["completion_tokens"] == 5
    only = server.post("/detokenize", {"tokens": [banned[0]]}).json()["prompt"]
    entries = forced["choices"][0]["logprobs"]
    assert {one["token"] for one in entries["content"] + entries["reasoning_content"]} == {only}


WRONG: list[tuple[Any, int, str | None]] = [
    ({}, 400, "messages"),
    ({"messages": []}, 400, "messages"),
    ({"messages": "hi"}, 400, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "user"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "text": "hi"}]}, 400, "messages"),
    ({"messages": [{"role": "user", "content": None}]}, 400, "messages"),
    ({"messages": [{"role": "system", "content": []}, {"role": "user", "content": "hi"}]}, 400, "messages"),
    ({"chat_template_kwargs": {"enable_thinking": "no"}}, 400, "chat_template_kwargs"),
    ({"tool_choice": "required", "tools": []}, 400, "tool_choice"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "messages"),
    ({"temperature": -1}, 400, "temperature"),
    ({"temperature": "1"}, 400, "temperature"),
    ({"top_p": 0}, 400, "top_p"),
    ({"n": 0}, 400, "n"),
    ({"n": 65}, 400, "n"),
    ({"max_tokens": 0}, 400, "max_tokens"),
    ({"max_tokens": 10**6}, 400, "messages"),
    ({"stop": [""]}, 400, "stop"),
    ({"stop": "ab" * 200}, 400, "stop"),
    ({"model": "gpt-5"}, 404, "model"),
    ({"frequency_penalty": 1}, 400, "frequency_penalty"),
    ({"logit_bias": {"x": 1}}, 400, "logit_bias"),
    ({"logit_bias": {"99999": 1}}, 400, "logit_bias"),
    ({"logit_bias": {"9" * 5000: 1}}, 400, "logit_bias"),
    ({"logit_bias": {"5": 101}}, 400, "logit_bias"),
    ({"top_logprobs": 3}, 400, "top_logprobs"),
    ({"top_logprobs": 21, "logprobs": True}, 400, "top_logprobs"),
    ({"stream_options": {"include_usage": True}}, 400, None),
    ({"messages": [{"role": "user", "content": "word " * 3000}]}, 400, "messages"),
]


@pytest.mark.parametrize(("fields", "status", "param"), WRONG, ids=lambda one: str(one)[:40])
def test_what_is_wrong_is_said_in_one_shape(server: Running, fields: Any, status: int, param: str | None) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields} if fields else {}
    reply = server.post("/v1/chat/completions", body)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"} and error["param"] == param and error["message"]


NO_JSON = [b"", b"{", b"[]", b"1", b'{"messages": NaN}', b"[" * 100_000, b"\xff\xfe", b"null"]
HALF_A_SMILE = b'{"messages": [{"role": "user", "content": "\\ud83d"}]}'


@pytest.mark.parametrize("body", [*NO_JSON, HALF_A_SMILE])
def test_a_body_that_is_no_json_object(server: Running, body: bytes) -> None:
    reply = httpx2.post(server.url + "/v1/chat/completions", content=body)
    assert reply.status_code == 400 and reply.json()["error"]["code"] == "invalid_json"


def test_paths_methods_and_sizes(server: Running) -> None:
    assert server.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    assert server.get("/v1/chat/completions").status_code == 405
    assert server.post("/v1/chat/completions", {"messages": "x" * 5_000_000}).status_code == 413


UNKNOWN: list[tuple[Any, str | None]] = [
    ({"mood": "good", "store": True}, "mood"),
    ({"function_call": None, "user": None}, None),
    ({"messages": [{"role": "user", "content": "hi", "name": "Ann"}] * 2}, "messages.*.name"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {}}]}]}, None),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "lang": "en"}]}]},
        "messages.*.content.*.lang",
    ),
    ({"thinking": {"type": "enabled", "budget_token": 4}}, "thinking.budget_token"),
    ({"chat_template_kwargs": {"enable_thinking": False, "foo": 1}}, "chat_template_kwargs.foo"),
    ({"stream_options": {"include_obfuscation": False}, "stream": True}, None),
    ({"tools": [], "tool_choice": "auto"}, None),
    ({"include_reasoning": False}, "include_reasoning"),
    (
        {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "audio": None, "id": "a"},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "x", "reasoning_content": "Hm."},
                {"role": "user", "content": "hi"},
            ]
        },
        None,
    ),
]


@pytest.mark.parametrize(("fields", "listed"), UNKNOWN, ids=lambda one: str(one)[:40])
def test_fields_that_are_not_known_are_listed(server: Running, fields: Any, listed: str | None) -> None:
    """At every depth; what says nothing, or means nothing here, is not."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, **fields}
    reply = server.post("/v1/chat/completions", body)
    assert reply.status_code == 200 and reply.headers.get("x-ponder-ignored") == listed
    _, ignored = read_request(ChatRequest, {**body, "nothing": None}, strict=False)
    assert ignored == ([] if listed is None else [listed])
    if listed is not None:
        with pytest.raises(Fault, match="Unknown fields: " + re.escape(listed)):
            read_request(ChatRequest, body, strict=True)


def test_who_asks_by_which_name(server: Running) -> None:
    """Probes of HTTP/1.0 name no host; those that name another are told what would let them in."""
    port = int(server.url.rsplit(":", 1)[1])

    def status(head: str) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(f"GET /health HTTP/{head}\r\nConnection: close\r\n\r\n".encode())
            found = b""
            while part := line.recv(65536):
                found += part
        return found

    assert b" 200 " in status("1.0").partition(b"\r\n")[0]
    assert b" 400 " in status("1.1").partition(b"\r\n")[0]
    assert b" 400 " in status("1.1\r\nHost: localhost\r\nHost: evil.example").partition(b"\r\n")[0]
    foreign = status("1.1\r\nHost: evil.example")
    assert b" 403 " in foreign.partition(b"\r\n")[0] and b"hosts=[evil.example]" in foreign


def test_who_asks_from_elsewhere_is_refused(server: Running) -> None:
    assert server.get("/health", headers={"host": "evil.example"}).status_code == 403
    assert server.get("/health", headers={"origin": "https://evil.example"}).status_code == 403
    assert server.get("/health", headers={"origin": server.url}).status_code == 200


def test_a_client_that_leaves_stops_the_work(server: Running) -> None:
    body = {"messages": [{"role": "user", "content": ASK}], "stream": True, "n": 64, "temperature": 50, "top_p": 1}
    before = server.counted("ponder:request_abandoned_total")
    with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        lines = reply.iter_lines()  # which closes the connection once nobody holds it
        next(lines)
        assert server.get("/health").json()["jobs"] == 1
    for _ in range(500):
        time.sleep(0.02)
        if server.get("/health").json() == {"status": "ok", "jobs": 0, "rows": 0, "waiting_tokens": 0}:
            break
    else:
        raise AssertionError("the engine still works for a client that left")
    assert server.counted("ponder:request_abandoned_total") == before + 1


def test_the_openai_package(server: Running) -> None:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["micro"]
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]
    whole = client.chat.completions.create(model="micro", messages=messages, seed=2, max_tokens=40)
    assert whole.usage is not None and whole.usage.prompt_tokens > 0
    text = ""
    with client.chat.completions.create(model="micro", messages=messages, seed=2, max_tokens=40, stream=True) as stream:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == whole.choices[0].message.content
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="x", messages=messages)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="micro", messages=messages, temperature=-1)


def test_tokens_and_back(server: Running) -> None:
    found = server.post("/tokenize", {"prompt": "Hello, 世界"}).json()
    assert found["count"] == len(found["tokens"]) and found["max_model_len"] == 2048
    assert server.post("/detokenize", {"tokens": found["tokens"]}).json()["prompt"] == "Hello, 世界"
    assert server.post("/detokenize", {"tokens": [10**9]}).status_code == 400


def test_keys_and_their_limits(start: Any, keys: Any) -> None:
    path, key = keys
    with start(f"keys={path}") as server:
        body = {"messages": [{"role": "user", "content": ASK}], "max_tokens": 3}
        assert server.get("/health").status_code == 200
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {key}"}):
            reply = server.post("/v1/chat/completions", body, headers=header)
            assert reply.status_code == 401 and reply.json()["error"]["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
        mine = {"authorization": f"Bearer {key}"}
        statuses = [server.post("/v1/chat/completions", body, headers=mine).status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        refused = server.post("/v1/chat/completions", body, headers=mine)
        assert int(refused.headers["retry-after"]) > 0 and refused.json()["error"]["code"] == "rate_limit_exceeded"
        assert server.get("/v1/usage", headers=mine).json()["tokens"] > 0
    assert key not in "".join(server.said)


def test_a_lane_that_is_killed_comes_back_and_the_end_is_graceful(start: Any) -> None:
    with start() as server:
        [lane] = psutil.Process(server.process.pid).children()
        body = {"messages": [{"role": "user", "content": ASK}], "stream": True, "n": 64, "temperature": 50, "top_p": 1}
        with httpx2.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
            lines = reply.iter_lines()
            next(lines)
            lane.send_signal(signal.SIGKILL)
            last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["type"] == "overloaded_error"
        for _ in range(600):
            if server.get("/ready").status_code == 200:
                break
            time.sleep(0.05)
        assert server.chat(ASK, max_tokens=3)["usage"]["completion_tokens"] >= 1
        lanes = psutil.Process(server.process.pid).children()
    assert not any(one.is_running() for one in lanes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["micro", "host=0.0.0.0"], "asks for no keys"),
        (["micro", "prot=80"], "port"),
        (["nowhere"], "no model"),
        (["micro", "--follow"], "no stage"),
        (["port=8124"], "behind the model, which is the first word, such as micro port=8124"),
        (["port=8124", "host=127.0.0.1"], "behind the model"),
    ],
)
def test_what_cannot_be_served_is_one_paragraph(arguments: list[str], words: str) -> None:
    done = command.run("serve", *arguments)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["host=nohost.invalid"], "host is an address or a name of this machine"),
        (["host=192.0.2.1"], "host is an address or a name of this machine"),
        ([f"host={'a' * 80}.invalid"], "host is an address or a name of this machine"),
        (["port={port}"], "choose another port"),
    ],
)
def test_an_address_that_cannot_be_listened_at(keys: Any, settings: list[str], words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = [one.format(port=taken.getsockname()[1]) for one in settings]
        done = command.run("serve", "micro", f"keys={keys[0]}", *given)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr, done


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("requests=0", "'requests=0' is no limit"),
        ("words=3", "'words=3' is no limit"),
        ("requests=1 tokens=2 requests=2", "requests stands there twice, with 1 and with 2"),
    ],
)
def test_limits_of_keys_that_are_none(tmp_path: Path, limits: str, words: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"alice {'0' * 64} {limits}\n", encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_keys(str(file))
