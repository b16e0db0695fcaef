"""Asks a model at an endpoint: many requests under way, each reply in the log as soon as it is there."""

import asyncio
from collections.abc import Callable, Sequence

from ponder.ask.ask import Ask, Reply
from ponder.ask.client import ChatClient
from ponder.ask.form import RequestForm
from ponder.ask.log import RequestLog
from ponder.ask.meter import Meter
from ponder.ask.reply import split_reply
from ponder.errors import EndpointError
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.seeds import derive_seed
from ponder.text.think import Response

__all__ = ["EndpointAsker"]

_MOST_IN_A_ROW = 20
"""Failures in a row after which a server counts as down, where they are more than `max_failures` allows."""


class EndpointAsker:
    """See `Asker`. `say` is told about progress; `title` names what is asked for."""

    def __init__(
        self,
        endpoint: Endpoint,
        sampling: Sampling,
        log: RequestLog,
        *,
        seed: int,
        title: str,
        say: Callable[[str], None],
    ) -> None:
        self._endpoint, self._log, self._seed = endpoint, log, seed
        self._form = RequestForm(endpoint, sampling, seed)
        self._title, self._say = title, say
        self._retried: set[str] = set()  # failures of earlier sessions that were asked again in this one

    def ask(self, asks: Sequence[Ask]) -> None:
        """Ask what has no reply yet, and again what failed in an earlier session."""
        todo: dict[str, Ask] = {}
        for ask in asks:
            key = self._form.key(ask)
            if key not in self._log or (key in self._log.failed_before and key not in self._retried):
                todo[key] = ask
        if todo:
            asyncio.run(self._ask(todo, len(asks)))
        failed = self._log.failed
        if self._too_many():
            last = self._log.read(max(failed)).failure
            raise EndpointError(
                f"{self._title}: {len(failed)} of {len(self._log)} requests to {self._endpoint.base_url!r} failed, "
                f"more than max_failures {self._endpoint.max_failures:g} allows; one of them: {last}. The same command "
                "asks only these again."
            )

    def reply(self, ask: Ask) -> Reply:
        """See `Asker`."""
        return self._log.read(self._form.key(ask))

    def split(self, reply: Reply) -> Response:
        """See `Asker`."""
        return split_reply(reply)

    def text(self, reply: Reply) -> str:
        """See `Asker`; thinking sent apart is put between think tags."""
        return reply.text if reply.reasoning is None else f"<think>\n{reply.reasoning}\n</think>\n\n{reply.text}"

    async def _ask(self, todo: dict[str, Ask], total: int) -> None:
        meter = Meter(self._title, total, len(todo), self._say)
        waiting = iter(todo.items())
        in_a_row: list[str] = []
        async with ChatClient(self._endpoint) as client:

            async def work() -> None:
                for key, ask in waiting:
                    reply, tries = await client.chat(self._form.body(ask), derive_seed(self._seed, key))
                    reply = self._form.priced(reply)
                    self._log.append([(key, self._form.facts(ask, tries), reply)])
                    self._retried.add(key)
                    meter.add(reply)
                    if not reply.failure:
                        in_a_row.clear()
                    else:
                        in_a_row.append(reply.failure)
                    if len(in_a_row) >= _MOST_IN_A_ROW and self._too_many():
                        raise EndpointError(
                            f"{self._title}: {len(in_a_row)} requests in a row to {self._endpoint.base_url!r} failed, "
                            f"the last with: {in_a_row[-1]}. Check the server, base_url and model, and give the same "
                            "command again: nothing received so far is lost."
                        )

            workers = [asyncio.create_task(work()) for _ in range(min(self._endpoint.max_concurrency, len(todo)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        meter.end()

    def _too_many(self) -> bool:
        return len(self._log.failed) > self._endpoint.max_failures * len(self._log)
