"""A plan carried out by an engine in this process: samples of one prompt, until one of them is the reply."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ponder.compute.course import Choice, Ended, choose, to_begin
from ponder.compute.reading import gold_to_read, read, same_of
from ponder.errors import ModelError
from ponder.policy.voice import Voice
from ponder.recipe.compute import ComputePlan
from ponder.records import Completion, Gold
from ponder.rollout.completion import complete
from ponder.rollout.drawing import Drawing
from ponder.rollout.engine import Job, Piece
from ponder.rollout.lane import NOT_FINITE
from ponder.rollout.live import LiveEngine
from ponder.text.think import Response
from ponder.verify.pool import VerifierPool

__all__ = ["Made", "Planner"]

Score = Callable[[Response], float | None]
"""A reward model's score of a response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The choice, and what every sample was: None for one that was not needed any more."""

    choice: Choice
    completions: tuple[Completion | None, ...]
    ended: tuple[Ended | None, ...]


class Planner:
    """Carries plans out, one after the other. A check of `gold` judges every sample."""

    def __init__(
        self, engine: LiveEngine, voice: Voice, plan: ComputePlan, gold: Gold | None, pool: VerifierPool
    ) -> None:
        self._engine, self._voice, self._plan, self._gold, self._pool = engine, voice, plan, gold, pool
        self._silent = voice.silent_ids()

    def run(
        self,
        prompt_ids: tuple[int, ...],
        seeds: Sequence[int],
        *,
        drawing: Drawing,
        max_tokens: int,
        score: Score | None = None,
        told: Callable[[Choice, int], None] | None = None,
    ) -> Made:
        """The samples of a prompt, one for each seed as far as they are needed. `told` hears of each choice on the way
        and of how many samples have ended."""
        same = same_of(self._gold)
        completions: list[Completion | None] = []
        ended: list[Ended | None] = []
        written: dict[tuple[int, int], list[Piece]] = {}
        numbers: dict[tuple[int, int], int] = {}
        while True:
            if (more := to_begin(self._plan, ended)) > len(ended):
                new = range(len(ended), more)
                job = self._engine.submit(
                    Job(
                        prompt_ids=prompt_ids,
                        seeds=tuple(seeds[number] for number in new),
                        max_tokens=max_tokens,
                        key="plan",
                        drawing=drawing,
                        thinking_tokens=self._plan.thinking_tokens,
                    )
                )
                numbers |= {(job, choice): number for choice, number in enumerate(new)}
                ended += [None] * len(new)
                completions += [None] * len(new)
            last = [piece for piece in self._engine.step() if self._keep(piece, written)]
            for piece in last:
                number = numbers[piece.job, piece.choice]
                completions[number] = self._completion(written.pop((piece.job, piece.choice)), seeds[number])
                ended[number] = self._ended(completions[number], score)
            if not last:
                continue
            found = choose(self._plan, ended, same)
            assert found is not None
            if told is not None:
                told(found, sum(one is not None for one in ended))
            if found.over and to_begin(self._plan, ended) == len(ended):
                for job, choice in numbers:
                    self._engine.cancel(job, choice)
                return Made(choice=found, completions=tuple(completions), ended=tuple(ended))

    def _keep(self, piece: Piece, written: dict[tuple[int, int], list[Piece]]) -> bool:
        """Put it with its sample; whether that has ended."""
        if piece.reason == "failed":
            raise ModelError(NOT_FINITE)
        written.setdefault((piece.job, piece.choice), []).append(piece)
        return piece.reason is not None

    def _completion(self, pieces: Sequence[Piece], seed: int) -> Completion:
        ids = [token for piece in pieces for token in piece.token_ids]
        logprobs = [logprob for piece in pieces for logprob in piece.logprobs]
        reason = pieces[-1].reason
        assert reason == "stop" or reason == "length"
        return complete(self._voice, self._silent, ids, logprobs, reason, pieces[-1].weight_version, seed)

    def _ended(self, completion: Completion | None, score: Score | None) -> Ended:
        assert completion is not None
        response = self._voice.template.split(completion.text, finished=completion.finish_reason == "stop")
        verdict = self._pool.submit(response.answer, gold_to_read(self._gold)).result()
        return Ended(
            read=read(response.answer, verdict, self._gold),
            tokens=len(completion.token_ids),
            score=None if score is None else score(response),
        )
