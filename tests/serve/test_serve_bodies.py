"""Bodies that nobody would send on purpose: each is a request, or an error of the client's in the one shape."""

import gzip
import json
import random
from typing import Any

import httpx2
import pytest

from ponder.policy import load_policy
from ponder.recipe.serve import ServeConfig
from ponder.serve.fault import Fault
from ponder.serve.prompt import Defaults, chat_prompt, job_of
from ponder.serve.raw import prompt_of
from ponder.serve.wire import ChatRequest, CompletionRequest, Sampled, read_body, read_request
from tests.serve.conftest import Running

VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**31,
        2**63,
        -(2**70),
        10**400,
        0.5,
        -0.0,
        1e308,
        "",
        "a",
        "\x00",
        "\ud800",
        "世" * 50,
    ),
    *([], {}, [[]], [None], [{}], {"type": "text"}, {"": {}}, [1, 2, 3], ["a", "b"], ["a", 1], [[1], [2]], [10**9]),
    *([{"role": "user", "content": "hi"}], [{"role": "user"}], [{"role": "assistant", "content": None}]),
    *([{"role": "user", "content": [{"type": "text", "text": "<|end|></think>"}]}], {"role": "user", "content": "x"}),
    *({"type": "disabled"}, {"type": "json_object"}, {"include_usage": True}, {"x": float("nan")}, "none", "max"),
]
FIELDS = {ChatRequest: "messages", CompletionRequest: "prompt"}
DEFAULTS = Defaults(temperature=0.6, top_p=0.95)


def body_of(kind: type[Sampled], numbers: random.Random) -> bytes:
    """A good body with up to three fields that are anything, sometimes cut or with a byte that is another."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "max_tokens": 2}
    for _ in range(numbers.randint(0, 3)):
        name = numbers.choice([*kind.model_fields, FIELDS[kind], "unknown"])
        body[name] = numbers.choice(VALUES)
        if numbers.random() < 0.2:
            body[name] = [body[name], {"role": "user", "content": numbers.choice(VALUES)}]
    whole = bytearray(json.dumps(body).encode())
    if numbers.random() < 0.2:
        whole[numbers.randrange(len(whole))] = numbers.randrange(256)
    if numbers.random() < 0.1:
        del whole[numbers.randrange(len(whole)) :]
    return bytes(whole)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_body_is_a_job_or_a_fault(kind: type[Sampled]) -> None:
    voice, config, numbers = load_policy("micro", precision="fp32").voice(), ServeConfig(), random.Random(kind.__name__)
    jobs = faults = 0
    for _ in range(5000):
        body = body_of(kind, numbers)
        try:
            asked, _ = read_request(kind, read_body(body), False)
            if isinstance(asked, ChatRequest):
                prompts = [chat_prompt(voice, asked.messages, thinks=asked.thinks)]
            else:
                assert isinstance(asked, CompletionRequest)
                prompts = [prompt_of(voice, one) for one in asked.prompts]
            for prompt in prompts:
                job_of(asked, prompt, voice, DEFAULTS, config, key="x", salt=None, owner="x", limit=asked.max_tokens)
            jobs += 1
        except Fault as fault:
            assert 400 <= fault.status < 500, body
            json.dumps(fault.body(), ensure_ascii=False).encode()
            faults += 1
    assert jobs > 500 and faults > 500


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"]
)
def test_a_server_takes_them_all(server: Running, path: str) -> None:
    numbers = random.Random(path)
    statuses = []
    for _ in range(60):
        body = body_of(numbers.choice(list(FIELDS)), numbers)
        reply = httpx2.post(server.url + path, content=body, timeout=60)
        statuses.append(reply.status_code)
        assert reply.status_code < 500, (body, reply.text)
        if reply.status_code != 200:
            assert reply.json()["error"].keys() == {"message", "type", "param", "code"}, body
    assert any(status == 400 for status in statuses) and server.get("/ready").status_code == 200


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (["mood"], "mood"),
        (["b", "a"], "a, b"),
        (["世"], "%E4%B8%96"),
        (["a\r\nset-cookie: x"], "a%0D%0Aset-cookie%3A%20x"),
        (["a" * 100_000], "a" * 64),
        ([""], ""),
        ([f"a{i:04}" for i in range(2000)], ", ".join(f"a{i:04}" for i in range(32)) + ", and 1968 more"),
    ],
    ids=lambda one: str(one)[:20],
)
def test_names_of_strangers_stand_in_a_header(server: Running, names: list[str], listed: str) -> None:
    reply = server.post("/v1/completions", {"prompt": "x", "max_tokens": 1, **dict.fromkeys(names, 1)})
    assert reply.status_code == 200 and reply.headers["x-ponder-ignored"] == listed
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-encoding": "gzip"}, 415),
        ({"content-encoding": "br"}, 415),
        ({"content-encoding": "Identity"}, 200),
        ({"content-type": "application/json; charset=ISO-8859-1"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": 'application/json; charset="UTF-8"'}, 200),
        ({"content-type": "text/plain;charset=utf8"}, 200),
        ({"content-type": "application/x-www-form-urlencoded"}, 200),
    ],
    ids=str,
)
def test_a_body_is_text_in_utf8(server: Running, headers: dict[str, str], status: int) -> None:
    text = b'{"prompt": "x"}'
    body = gzip.compress(text) if "gzip" in headers.values() else text
    reply = httpx2.post(server.url + "/tokenize", content=body, headers=headers)
    assert reply.status_code == status, reply.text
    if status == 415:
        assert "send it " in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions/", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}, 200),
        ("/v1/responses/", {"input": "hi", "max_output_tokens": 1}, 200),
        ("/tokenize//", {"prompt": "x"}, 200),
        ("/v1/models/", None, 200),
        ("/v1/models/micro/", None, 200),
        ("/v1/usage/", {}, 405),
        ("/v1/nothing/", None, 404),
    ],
)
def test_a_slash_at_the_end_of_a_path_is_none(server: Running, path: str, body: Any, status: int) -> None:
    reply = server.get(path) if body is None else server.post(path, body)
    assert reply.status_code == status and reply.json(), reply.text


BIG = [-(2**70), 2**64, 10**400]


@pytest.mark.parametrize("number", BIG, ids=lambda one: f"{one:.0e}" if abs(one) < 1e300 else "huge")
@pytest.mark.parametrize("key", ["minimum", "enum", "unknown"])
def test_numbers_in_schemas_that_no_machine_holds(server: Running, key: str, number: int) -> None:
    """An error of the client's, or a reply where they bind nothing."""
    binds = (key, number) != ("minimum", -(2**70))
    schema = {"type": "object", "properties": {"a": {"type": "integer", key: [number] if key == "enum" else number}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    function = {"name": "f", "parameters": schema}
    tools = {"tools": [{"type": "function", "function": function}], "tool_choice": "required"}
    for path, body, param in (
        ("/v1/chat/completions", {"response_format": form}, "response_format"),
        ("/v1/chat/completions", tools, "tools"),
        ("/v1/responses", {"text": {"format": {"type": "json_schema", "schema": schema}}}, "text"),
        ("/v1/responses", {**tools, "tools": [{"type": "function", **function}]}, "tools"),
    ):
        said = {"messages": [{"role": "user", "content": "hi"}]} if "chat" in path else {"input": "hi"}
        reply = server.post(path, {**said, **body, "max_tokens": 2})
        assert reply.status_code == (400 if binds else 200) and len(reply.text) < 2000, reply.text
        assert not binds or reply.json()["error"]["param"] == param
