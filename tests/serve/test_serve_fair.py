"""Several keys at one server: whose turn it is, and what they share of the prefix cache."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.serve.keys import new_key
from tests.serve.conftest import Running, serving

TEXT = "User: What is 17 + 25?\n\nAssistant: <think>\n" * 8
NAMES = ("alice", "bob")
_MANY = 24


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, dict[str, str]]]]:
    """A server with one row, and the headers of two keys."""
    made = {name: new_key(name) for name in NAMES}
    path: Path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text("".join(line + "\n" for _, line in made.values()), encoding="utf-8")
    with serving("precision=fp32", "threads=1", "rows=1", f"keys={path}") as running:
        yield running, {name: {"authorization": f"Bearer {key}"} for name, (key, _) in made.items()}


def test_one_key_does_not_wait_behind_all_of_another(keyed: Any) -> None:
    """Only the order of ends is looked at."""
    server, headers = keyed
    ended: list[str] = []

    async def ask(client: httpx2.AsyncClient, name: str, number: int) -> None:
        body = {"prompt": f"{number} is", "max_tokens": 16, "ignore_eos": True, "seed": number}
        reply = await client.post(server.url + "/v1/completions", json=body, headers=headers[name])
        assert reply.status_code == 200
        ended.append(name)

    async def all_of_them() -> None:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(timeout=120, limits=limits) as client:
            many = [asyncio.create_task(ask(client, "alice", number)) for number in range(_MANY)]
            while server_jobs(await client.get(server.url + "/health")) < _MANY:
                await asyncio.sleep(0.01)
            before = len(ended)
            await ask(client, "bob", 0)
            assert len(ended) - before < _MANY / 2
            await asyncio.gather(*many)

    def server_jobs(reply: httpx2.Response) -> int:
        return int(reply.json()["jobs"]) + len(ended)

    asyncio.run(all_of_them())
    assert ended.count("alice") == _MANY


@pytest.mark.parametrize("form", ["text", "ids", "stream", "scored"])
def test_prompts_are_cached_for_the_key_that_asked(keyed: Any, form: str) -> None:
    """As the usage of completions tells: all whole blocks before the last token, and nothing of another key's."""
    server, headers = keyed
    prompt: Any = f"{form}: {TEXT}"
    if form == "ids":
        prompt = server.post("/tokenize", {"prompt": prompt}, headers=headers["alice"]).json()["tokens"]
    body = {"prompt": prompt, "max_tokens": 4, "seed": 1}
    body |= {"echo": True, "logprobs": 1} if form == "scored" else {}
    body |= {"stream": True, "stream_options": {"include_usage": True}} if form == "stream" else {}

    def hits(name: str, **more: Any) -> tuple[int, int]:
        reply = server.post("/v1/completions", body | more, headers=headers[name])
        assert reply.status_code == 200, reply.text
        whole = reply.text if form != "stream" else reply.text.split("\n\n")[-3].removeprefix("data: ")
        usage = json.loads(whole)["usage"]
        assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
        return usage["prompt_cache_hit_tokens"], usage["prompt_tokens"]

    first, tokens = hits("alice")
    every = (tokens - 1) // 32 * 32
    assert first == 0 and every > 64
    assert hits("alice")[0] == every
    assert hits("bob", cache_salt="alice")[0] == 0, "no key can name another's"
    assert hits("bob")[0] == 0
    assert hits("alice", cache_salt="mine")[0] == 0
    assert hits("alice", cache_salt="mine")[0] == every
