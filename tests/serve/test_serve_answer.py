"""Clients that take nothing: what is computed for them is given up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ponder.serve.answer import Events, Later


class Client:
    """Takes so many messages, then nothing; it never says that it leaves."""

    def __init__(self, takes: int) -> None:
        self.takes, self.taken = takes, list[dict[str, Any]]()

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Any) -> None:
        if len(self.taken) == self.takes:
            await asyncio.Event().wait()
        self.taken.append(message)


@pytest.mark.parametrize("takes", [1, 3])
@pytest.mark.parametrize("keep_alive", [0.01, 60.0], ids=["keep-alive is not taken", "text is not taken"])
def test_one_that_takes_nothing_is_given_up(takes: int, keep_alive: float) -> None:
    client, ends, closed = Client(takes), list[bool](), list[bool]()

    async def texts() -> AsyncIterator[str]:
        try:
            while keep_alive == 60.0:
                yield "x"
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def go() -> None:
        settings: Any = {"headers": {}, "keep_alive": keep_alive, "stalled": 0.05, "ended": ends.append}
        async with asyncio.timeout(30):
            await Events(texts(), **settings)({}, client.receive, client.send)

    asyncio.run(go())
    assert ends == [True] and closed == [True] and len(client.taken) == takes


def test_a_whole_reply_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.serve.answer._BLANK_AFTER", 0.01)
    client, ends = Client(2), list[bool]()

    async def work() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def go() -> None:
        async with asyncio.timeout(30):
            settings: Any = {"headers": {}, "keep_alive": 0.01, "stalled": 0.05, "ended": ends.append}
            await Later(work(), **settings)({}, client.receive, client.send)

    asyncio.run(go())
    assert ends == [True] and [one["type"] for one in client.taken] == ["http.response.start", "http.response.body"]
