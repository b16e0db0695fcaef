"""A trained reward model beside the one that is served: scores for `best_of`, in a thread of its own."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ponder.policy.scorer_load import load_scorer
from ponder.recipe.training import Precision
from ponder.records import Message
from ponder.serve.planned import Score

__all__ = ["Scoring"]


class Scoring:
    """Loads the scorer of a folder; ModelError where it is none."""

    def __init__(self, name_or_path: str, precision: Precision, device: str | None) -> None:
        self._scorer = load_scorer(name_or_path, precision=precision, device=device)
        self._thread = ThreadPoolExecutor(1, "ponder-scorer")

    def of(self, messages: Sequence[Message]) -> Score:
        """The score of replies to a conversation, None for one that says nothing or is beyond the scorer's window."""

        async def score(thinking: str | None, answer: str | None) -> float | None:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._scorer.score_reply, messages, thinking, answer)

        return score
