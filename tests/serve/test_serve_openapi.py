"""/openapi.json: what it says of paths, bodies and replies is what the server does."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from ponder.serve.openapi import OPERATIONS, document
from tests.serve.conftest import Running

TURNS = [{"role": "user", "content": "What is 17 + 25?"}]
LIMIT = {"max_tokens": 4, "seed": 1}
TOOL = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "additionalProperties": False}},
}
BODIES: list[tuple[str, Any]] = [
    ("/v1/chat/completions", {"messages": TURNS, **LIMIT}),
    ("/v1/chat/completions", {"messages": TURNS, **LIMIT, "n": 2, "logprobs": True, "thinking": {"type": "disabled"}}),
    ("/v1/chat/completions", {"messages": TURNS, "seed": 1, "tools": [TOOL], "tool_choice": "required"}),
    ("/v1/chat/completions", {"messages": TURNS, **LIMIT, "ponder": {"vote": 2, "samples": True}}),
    ("/v1/completions", {"prompt": "x", **LIMIT}),
    ("/v1/completions", {"prompt": ["x", "y"], **LIMIT, "echo": True, "logprobs": 0}),
    ("/v1/responses", {"input": "x", "max_output_tokens": 4}),
    ("/v1/responses", {"input": TURNS, "max_output_tokens": 4, "instructions": "Be brief."}),
    ("/tokenize", {"prompt": "x"}),
    ("/tokenize", {"messages": TURNS}),
    ("/detokenize", {"tokens": [1, 2]}),
    ("/v1/chat/completions/control", {"id": "none", "action": "reasoning_end"}),
    ("/v1/chat/completions", {"messages": TURNS, "temperature": "warm"}),
    ("/v1/completions", {}),
    ("/v1/responses", {"input": 5}),
    ("/tokenize", []),
    ("/v1/models", None),
    ("/v1/models/{name}", None),
    ("/v1/usage", None),
    ("/tokenizer_info", None),
    ("/health", None),
    ("/ready", None),
    ("/openapi.json", None),
]


def conforms(described: dict[str, Any], path: str, reply: httpx2.Response) -> None:
    """Raises where a reply is not as its path's description has it."""
    [operation] = described["paths"][path].values()
    told = operation["responses"]
    kind = reply.headers["content-type"].partition(";")[0]
    content = (told.get(str(reply.status_code)) or told[f"{reply.status_code // 100}XX"])["content"][kind]
    if "schema" in content:
        schema = {**content["schema"], "components": described["components"]}
        Draft202012Validator(schema).validate(reply.json())


def test_a_description_is_whole() -> None:
    for keys in (False, True):
        described = document(keys)
        for schema in described["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)
        secured = {path for path, item in described["paths"].items() for one in item.values() if "security" in one}
        assert secured == ({path for path, one in OPERATIONS.items() if not one.is_open} if keys else set())
        assert ("securitySchemes" in described["components"]) is keys


def test_every_route_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.policy import load_policy
    from ponder.recipe.serve import ServeConfig
    from ponder.serve import app
    from ponder.serve.keys import Keys
    from ponder.serve.prompt import Defaults
    from ponder.serve.serving import Serving

    found: list[Route] = []
    plain = app.Starlette

    def noting(routes: list[Route], **kwargs: Any) -> Any:
        found.extend(routes)
        return plain(routes=routes, **kwargs)

    monkeypatch.setattr(app, "Starlette", noting)
    serving = Serving([], load_policy("micro", precision="fp32").voice(), 0)
    app.Server(ServeConfig(), serving, Keys({}), app.About("m", (), {}), Defaults(temperature=1, top_p=1))
    methods = {
        route.path.replace(":path}", "}"): "post" if "POST" in (route.methods or ()) else "get" for route in found
    }
    assert methods == {path: method for path, item in document(False)["paths"].items() for method in item}


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_replies_are_as_described(server: Running, path: str, body: Any) -> None:
    described = server.get("/openapi.json").json()
    url = path.replace("{name}", "micro")
    conforms(described, path, server.get(url) if body is None else server.post(url, body))
    if body is None:
        wrong = server.post(url, {})
        assert wrong.status_code == 405 and "GET" in wrong.headers["allow"]
        conforms(described, path, wrong)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_streams_are_as_described(server: Running, path: str) -> None:
    [body] = [body for at, body in BODIES if at == path][:1]
    conforms(server.get("/openapi.json").json(), path, server.post(path, {**body, "stream": True}))


@pytest.mark.skipif(importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_schemathesis_finds_nothing(server: Running, tmp_path: Path) -> None:
    """What its schemas allow may still be refused for what it means; nothing else may go wrong."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", server.url + "/openapi.json"]
    limits = ["--max-examples=20", "--seed=1", "--exclude-checks=positive_data_acceptance", "--request-timeout=100"]
    done = subprocess.run([*command, *limits], capture_output=True, text=True, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
