"""Asks a model at an endpoint: many requests under way, each reply in the log as soon as it is there."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ponder.ask.ask import Ask, Reply
from ponder.ask.client import ChatClient
from ponder.ask.log import RequestLog, request_key
from ponder.ask.meter import Meter
from ponder.ask.reply import split_reply
from ponder.errors import EndpointError
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.records import Message
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
        self._endpoint, self._sampling, self._log, self._seed = endpoint, sampling, log, seed
        self._title, self._say = title, say
        self._parameters = {
            "base_url": endpoint.base_url,
            "model": endpoint.model,
            "temperature": None if "temperature" in endpoint.leave_out else sampling.temperature,
            "top_p": None if "top_p" in endpoint.leave_out else sampling.top_p,
            "top_k": sampling.top_k,
            "max_tokens": sampling.max_tokens,
            "seed": seed if endpoint.send_seed else None,
        }
        self._retried: set[str] = set()  # failures of earlier sessions that were asked again in this one

    def ask(self, asks: Sequence[Ask]) -> None:
        """Ask what has no reply yet, and again what failed in an earlier session."""
        todo: dict[str, Ask] = {}
        for ask in asks:
            key = self._key(ask)
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
        return self._log.read(self._key(ask))

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
                    reply, tries = await client.chat(self._body(ask), derive_seed(self._seed, key))
                    reply = replace(reply, cost=self._cost(reply))
                    facts = {"id": ask.id, "number": ask.number, "tries": tries, "parameters": self._parameters}
                    self._log.append([(key, facts, reply)])
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

    def _key(self, ask: Ask) -> str:
        return request_key(ask, self._parameters)

    def _body(self, ask: Ask) -> dict[str, Any]:
        endpoint, sampling = self._endpoint, self._sampling
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [_message(message) for message in ask.messages],
            endpoint.length_parameter: sampling.max_tokens,
        }
        for name in ("temperature", "top_p"):
            if name not in endpoint.leave_out:
                body[name] = self._parameters[name]
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if endpoint.send_seed:
            body["seed"] = derive_seed(self._seed, ask.id, ask.number) % 2**31
        if endpoint.stream:
            body["stream"] = True
            if "stream_options" not in endpoint.leave_out:
                body["stream_options"] = {"include_usage": True}
        return body

    def _cost(self, reply: Reply) -> float | None:
        into, out = self._endpoint.price_per_million_input, self._endpoint.price_per_million_output
        if into is None or out is None or reply.prompt_tokens is None or reply.completion_tokens is None:
            return None
        return (into * reply.prompt_tokens + out * reply.completion_tokens) / 1e6


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
