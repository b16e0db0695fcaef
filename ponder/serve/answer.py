"""Answers on the wire: a stream of events, or one body, given up as soon as the client is gone.

Starlette's own streams hear of a client that left only when they next send; a request that still waits for its turn
would be computed for nobody. So here the connection is watched beside the work, for streams and whole replies alike.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Self

from starlette.types import Receive, Scope, Send

from ponder.errors import PonderError
from ponder.serve.fault import Fault, fault_of

__all__ = ["Events", "Later"]

_BLANK_AFTER = 60.0
"""Seconds without an answer after which a whole reply begins with blank lines, before clients and proxies give up."""


class _Gone(Exception):
    """The client has left, or takes nothing any more."""


class _Wire:
    """One connection: what is sent, and whether anybody is there.

    Use it as a context around the work, which is cancelled as soon as the client has left or has taken nothing for
    `stalled` seconds; then the context raises `_Gone`. Where nothing has been sent for `patience` seconds, `idle` is
    called.
    """

    def __init__(self, receive: Receive, send: Send, stalled: float, patience: float) -> None:
        self._receive, self._send, self._stalled = receive, send, stalled
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._sending = self._gone = self._whole = False
        self.patience = patience
        self.idle: Callable[[], Awaitable[None]]

    async def __aenter__(self) -> Self:
        worker = asyncio.current_task()
        assert worker is not None
        self._worker = worker
        self._watching = [asyncio.ensure_future(self._leaving()), asyncio.ensure_future(self._passing())]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for one in self._watching:
            one.cancel()
        if self._gone and kind is asyncio.CancelledError:
            self._worker.uncancel()
            raise _Gone

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._out({"type": "http.response.start", "status": status, "headers": raw})

    async def body(self, text: bytes, *, more: bool) -> None:
        self._whole = not more
        await self._out({"type": "http.response.body", "body": text, "more_body": more})

    async def _out(self, message: dict[str, Any]) -> None:
        self._moved, self._sending = self._loop.time(), True
        try:
            await self._send(message)
        except OSError:
            raise _Gone from None
        self._moved, self._sending = self._loop.time(), False

    def _give_up(self) -> None:
        if not self._gone:
            self._gone = True
            self._worker.cancel()

    async def _leaving(self) -> None:
        """Watches for the end of the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._whole:
            self._give_up()

    async def _passing(self) -> None:
        """Watches the time: for one that takes nothing, and for the want of anything to send."""
        while True:
            rest = self._moved + (self._stalled if self._sending else self.patience) - self._loop.time()
            if rest > 0:
                await asyncio.sleep(min(rest, self._stalled))
                continue
            if not self._sending:
                with contextlib.suppress(_Gone, TimeoutError):
                    async with asyncio.timeout(self._stalled):  # nobody else watches while it is sent
                        await self.idle()
                    continue
            self._give_up()
            return


class Events:
    """A stream of server-sent events, one per text; one that begins with a colon is a comment, and one with `event:` is
    written as it stands.

    `events` is closed when the client leaves, which cancels what it works on. `ended` is called in any case, with
    whether the client went away.
    """

    def __init__(
        self,
        events: AsyncIterator[str],
        *,
        headers: Mapping[str, str],
        keep_alive: float,
        stalled: float,
        ended: Callable[[bool], None],
    ) -> None:
        self._events, self._headers = events, headers
        self._keep_alive, self._stalled, self._ended = keep_alive, stalled, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = _Wire(receive, send, self._stalled, self._keep_alive)
        wire.idle = partial(wire.body, b": keep-alive\n\n", more=True)
        abandoned = False
        try:
            await wire.start(
                200,
                {
                    "content-type": "text/event-stream; charset=utf-8",
                    "cache-control": "no-cache",
                    "x-accel-buffering": "no",
                    **self._headers,
                },
            )
            async with wire:
                async for text in self._events:
                    line = text if text.startswith((":", "event:")) else f"data: {text}"
                    await wire.body(f"{line}\n\n".encode(), more=True)
                await wire.body(b"", more=False)
        except _Gone:
            abandoned = True
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]  # an async generator
            self._ended(abandoned)


class Later:
    """One JSON body that takes its time. `work` is cancelled when the client leaves; `ended` as of `Events`."""

    def __init__(
        self,
        work: Coroutine[Any, Any, dict[str, Any]],
        *,
        headers: Mapping[str, str],
        keep_alive: float,
        stalled: float,
        ended: Callable[[bool], None],
    ) -> None:
        self._work, self._headers = work, headers
        self._keep_alive, self._stalled, self._ended = keep_alive, stalled, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = _Wire(receive, send, self._stalled, _BLANK_AFTER)
        begun = abandoned = False

        async def idle() -> None:
            nonlocal begun
            if not begun:  # from here on the status is 200, whatever comes: an error stands in the body
                begun = True
                await wire.start(200, {"content-type": "application/json", **self._headers})
                wire.patience = self._keep_alive
            await wire.body(b"\n", more=True)

        wire.idle = idle
        try:
            async with wire:
                status, body, headers = 200, dict[str, Any](), dict[str, str]()
                try:
                    body = await self._work
                except (Fault, PonderError) as error:
                    fault = error if isinstance(error, Fault) else fault_of(error)
                    status, body, headers = fault.status, fault.body(), fault.headers()
                text = json.dumps(body, ensure_ascii=False).encode()
                if not begun:
                    length = {"content-type": "application/json", "content-length": str(len(text))}
                    await wire.start(status, {**length, **self._headers, **headers})
                await wire.body(text, more=False)
        except _Gone:
            abandoned = True
        finally:
            self._work.close()  # which never began where nobody was there
            self._ended(abandoned)
