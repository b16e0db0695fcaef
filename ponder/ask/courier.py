"""Asks an endpoint while whoever asks does something else: questions are sent at once and answered in a thread.

    send(questions in order) -> Future[Answered]

Of the questions of one call the first is asked, and the next where its reply says nothing, all within one deadline.
Every reply is in the log before its future is done, and so is every failure, which is final: the same questions of a
later session have the same outcome, and nothing is asked twice.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ponder.ask.ask import Ask, Reply
from ponder.ask.client import ChatClient
from ponder.ask.form import RequestForm
from ponder.ask.log import RequestLog
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.seeds import derive_seed

__all__ = ["Answered", "Courier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The last reply of a call, and the keys of all that it asked."""

    reply: Reply
    keys: tuple[str, ...]


class Courier:
    """A context manager around one thread. `says_something` tells whether a reply need not be asked for again;
    `deadline_seconds` is counted from when the first question of a call is sent, which may wait for its turn."""

    def __init__(
        self,
        endpoint: Endpoint,
        sampling: Sampling,
        log: RequestLog,
        *,
        seed: int,
        deadline_seconds: float,
        says_something: Callable[[Reply], bool],
    ) -> None:
        self._endpoint, self._log, self._seed = endpoint, log, seed
        self._form = RequestForm(endpoint, sampling, seed)
        self._deadline, self._says_something = deadline_seconds, says_something
        self._loop = asyncio.new_event_loop()
        self._places = asyncio.Semaphore(endpoint.max_concurrency)
        self._client = ChatClient(endpoint)
        self._thread = threading.Thread(target=self._loop.run_forever, name="ponder-courier", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._client.__aenter__(), self._loop).result()

    def key(self, ask: Ask) -> str:
        """What the reply to a question is remembered by."""
        return self._form.key(ask)

    def send(self, asks: Sequence[Ask], facts: Mapping[str, object]) -> Future[Answered]:
        """Begin to ask; `facts` stand in the log beside what is asked now. The future raises EndpointError where no
        request can succeed."""
        return asyncio.run_coroutine_threadsafe(self._answered(tuple(asks), facts), self._loop)

    def close(self) -> None:
        """Give up what is under way."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def _answered(self, asks: tuple[Ask, ...], facts: Mapping[str, object]) -> Answered:
        keys = [self.key(ask) for ask in asks]
        known = self._known(keys)
        if known is not None:
            return known
        async with self._places:
            try:
                async with asyncio.timeout(self._deadline):
                    for place, (key, ask) in enumerate(zip(keys, asks, strict=True)):
                        if key not in self._log:
                            reply, tries = await self._client.chat(self._form.body(ask), derive_seed(self._seed, key))
                            self._remember(key, ask, tries, facts, self._form.priced(reply))
                        if (known := self._known(keys[: place + 1])) is not None:
                            return known
            except TimeoutError:
                late = next(i for i, key in enumerate(keys) if key not in self._log)
                failure = f"no reply within deadline_seconds {self._deadline:g}"
                self._remember(keys[late], asks[late], 1, facts, Reply(failure=failure))
                return Answered(reply=self._log.read(keys[late]), keys=tuple(keys[: late + 1]))
        return Answered(reply=self._log.read(keys[-1]), keys=tuple(keys))

    def _known(self, keys: Sequence[str]) -> Answered | None:
        """What the log says to questions that were asked in this order, where it ends the matter."""
        for place, key in enumerate(keys):
            if key not in self._log:
                return None
            reply = self._log.read(key)
            if reply.failure or self._says_something(reply):
                return Answered(reply=reply, keys=tuple(keys[: place + 1]))
        return None

    def _remember(self, key: str, ask: Ask, tries: int, facts: Mapping[str, object], reply: Reply) -> None:
        self._log.append([(key, {**self._form.facts(ask, tries), **facts}, reply)])

    async def _end(self) -> None:
        under_way = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._client.__aexit__(None, None, None)
