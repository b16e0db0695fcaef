"""A running `ponder serve micro` for the tests of a file, and what is needed to ask it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import command
from tests.command import Command


@dataclass
class Running:
    """A server that listens, and its process."""

    url: str
    process: Command
    said: list[str]

    def post(self, path: str, body: Any, **kwargs: Any) -> httpx2.Response:
        return httpx2.post(self.url + path, json=body, timeout=60, **kwargs)

    def counted(self, name: str) -> float:
        """A counter of `/metrics`; 0 before it has counted."""
        lines = (line.split() for line in self.get("/metrics").text.splitlines())
        return sum(float(line[1]) for line in lines if line[0] == name)

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
    errors, theirs = os.pipe()
    process = command.start("serve", model, "port=0", *arguments, streams=(0, 1, theirs))
    os.close(theirs)
    lines = open(errors, encoding="utf-8")  # noqa: SIM115  closed below
    said: list[str] = []
    try:
        for line in lines:
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
        said += lines.readlines()
        lines.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """The embedded base in float32, whose numbers no company moves; one for all files, so that its counters have no
    beginning."""
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
