"""A trained scorer that decides on turns, in the server's own process."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ponder.policy.scorer import Scored as Texts
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_scorer
from ponder.recipe.serve import ServeConfig
from ponder.records import Message, Verdict
from ponder.serve.deciders import Selected

__all__ = ["Scored"]


class Scored:
    """A scorer in this process, in a thread of its own: one score at a time, also after one that nobody waits for."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._thread = ThreadPoolExecutor(1, "risk")

    @classmethod
    def load(cls, name_or_path: str, config: ServeConfig) -> "Scored":
        """That of a folder; ModelError where it is none."""
        return cls(load_scorer(name_or_path, "response", config.precision, config.device))

    async def decide(self, turn: Selected) -> Verdict:
        """See `Decider`."""
        assert turn.response is not None, "a scorer is not asked about prompts"
        loop = asyncio.get_running_loop()
        score = await loop.run_in_executor(self._thread, self._score, turn.messages, turn.response)
        safe = score > self._scorer.file.even
        return Verdict(outcome="right" if safe else "wrong", reason=f"score {score:.3f}", score=float(safe))

    def _score(self, messages: Sequence[Message], response: str) -> float:
        scorer = self._scorer
        text = scorer.seen(response)
        if text is None:
            return float("-inf")
        item = Texts(prompt_ids=scorer.prompt_ids(messages), response_ids=(scorer.text_ids(text),))
        [[score]] = scorer.scores([item], scorer.window)
        return score

    def close(self) -> None:
        """See `Decider`."""
        self._thread.shutdown(wait=False, cancel_futures=True)
