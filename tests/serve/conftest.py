"""A running `ponder serve micro` for the tests of a file, and what is needed to ask it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest


@dataclass
class Running:
    """A server that listens, and its process."""

    url: str
    process: "subprocess.Popen[str]"
    said: list[str]

    def post(self, path: str, body: Any, **kwargs: Any) -> httpx2.Response:
        return httpx2.post(self.url + path, json=body, timeout=60, **kwargs)

    def get(self, path: str, **kwargs: Any) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=60, **kwargs)

    def chat(self, text: str, **fields: Any) -> dict[str, Any]:
        reply = self.post("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **fields})
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found


@contextmanager
def serving(*arguments: str, model: str = "micro") -> Iterator[Running]:
    """`ponder serve` in a process of its own, until the end of the context."""
    command = [sys.executable, "-m", "ponder.cli", "serve", model, "port=0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if " is at http" in line:
                address = line.partition(" is at ")[2].partition("/v1")[0]
                yield Running(address, process, said)
                return
        raise AssertionError("".join(said))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said += process.stderr.readlines()
        process.stderr.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """The embedded base in float32, whose numbers no company moves."""
    with serving("precision=fp32", "threads=1", "prices={hit: 1, miss: 4, output: 16}") as running:
        yield running


@pytest.fixture(scope="session")
def start() -> Callable[..., Any]:
    """For servers with settings of their own."""
    return serving


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    """A file of keys with one key, and the key."""
    from ponder.serve.keys import new_key

    key, line = new_key("alice")
    path = tmp_path / "keys.txt"
    path.write_text(line + " requests=3\n", encoding="utf-8")
    return path, key
