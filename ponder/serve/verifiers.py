"""The verifiers as a server asks them: in worker processes with deadlines, started with the first question."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.compute.reading import Comparisons, Read, gold_to_read, read
from ponder.records import Gold
from ponder.verify.pool import VerifierPool

__all__ = ["Verifiers"]

_WORKERS = 2


class Verifiers:
    """One pool for all requests; `close` it. The loop never waits for a verifier."""

    def __init__(self) -> None:
        self._pool: VerifierPool | None = None
        self._starting = asyncio.Lock()

    async def read(self, answer_text: str | None, gold: Gold | None) -> Read:
        """What an answer says, and the verdict where there is a gold. Raises VerifierError where programs cannot be
        judged as apart as they have to be."""
        pool = await self._open()
        future = await asyncio.to_thread(pool.submit, answer_text, gold_to_read(gold))
        verdict = await asyncio.wrap_future(future)
        return await asyncio.to_thread(read, answer_text, verdict, gold)

    async def compare(self, known: Comparisons, answers: Sequence[str | None], gold: Gold | None) -> None:
        """Find out which of the answers mean the same; those that cannot be compared in time do not."""
        pool = await self._open()
        for answer, others in known.missing(answers):
            called = await asyncio.wrap_future(pool.same(answer, others, gold_to_read(gold)))
            known.learn(answer, others, called.value if called.failure is None else [False] * len(others))

    async def claims(self, thinking: str) -> list[Mapping[str, Any]] | str:
        """The equations of a thought, or why they could not be looked at."""
        pool = await self._open()
        called = await asyncio.wrap_future(pool.claims(thinking))
        return list(called.value) if called.failure is None else called.failure.reason

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()

    async def _open(self) -> VerifierPool:
        async with self._starting:
            if self._pool is None:
                self._pool = await asyncio.to_thread(VerifierPool, _WORKERS)
        return self._pool
