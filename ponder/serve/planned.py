"""A reply that a plan makes: samples are read and judged as they end, until one of them is the reply.

What is sent of several samples is how far they are, as comments, and then the one that was chosen. A single sample
that is checked or audited is sent as it comes; its end waits for what the verifiers say.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ponder.compute.audit import audit, audit_note
from ponder.compute.course import Choice as Chosen
from ponder.compute.course import Ended, abstention, choose, to_begin
from ponder.compute.reading import Comparisons, Read
from ponder.policy.voice import Voice
from ponder.records import ToolCall, Verdict
from ponder.serve.chat import Chat, Unasked
from ponder.serve.choice import Choice, Delta, Reason
from ponder.serve.plan import Wanted
from ponder.serve.reply import Account
from ponder.serve.verifiers import Verifiers

__all__ = ["Begin", "Planned", "Score"]

Begin = Callable[[range], Awaitable[Chat]]
"""Begins the samples of these numbers."""
Score = Callable[[str | None, str | None], Awaitable[float | None]]
"""The reward model's score of a thinking and an answer."""
_NO_ANSWER = Verdict(outcome="cannot_tell", reason="no answer was given")


@dataclass(slots=True, kw_only=True)
class _Shown:
    """The reply as its form reads it, in place of the sample that was chosen."""

    sample: Choice
    answer: str
    reason: Reason | None
    index: int = 0

    @property
    def thinking(self) -> str:
        return self.sample.thinking if self.withheld is None else ""

    @property
    def withheld(self) -> str | None:
        return self.sample.withheld

    @property
    def calls(self) -> Sequence[ToolCall]:
        return self.sample.calls

    @property
    def stop(self) -> str | None:
        return self.sample.stop

    def take_logprobs(self) -> dict[str, list[dict[str, Any]]]:
        return self.sample.take_logprobs()


class Planned:
    """Iterate over `deltas` once, as over those of a `Chat`; it also gives comments, which begin with a colon."""

    def __init__(self, begin: Begin, first: Chat, want: Wanted, verifiers: Verifiers, score: Score | None) -> None:
        self._begin, self._want, self._verifiers, self._score = begin, want, verifiers, score
        self._chats = [first]
        self._samples = list(first.choices)
        self._ended: list[Ended | None] = [None] * len(first.choices)
        self._changed = asyncio.Event()
        self._comparisons = Comparisons()
        self._notes: list[str] = []
        self.choices: list[Choice | _Shown] = []
        self._own: dict[str, Any] = {}

    @property
    def account(self) -> Account:
        """All samples together."""
        accounts = [chat.account for chat in self._chats]
        return Account(
            prompt=sum(one.prompt for one in accounts),
            hit=sum(one.hit for one in accounts),
            written=sum(one.written for one in accounts),
            thinking=sum(one.thinking for one in accounts),
            began=accounts[0].began,
            first=accounts[0].first,
            ended=accounts[-1].ended,
        )

    @property
    def ended(self) -> bool:
        """Whether the reply stands."""
        return bool(self.choices)

    def more(self) -> dict[str, Any]:
        """What else stands beside the reply."""
        return self._own

    def notes(self) -> list[str]:
        """What a reader of the reply should know."""
        cut = self._chats[-1].notes() if len(self._samples) == 1 else []
        return [*cut, *self._notes]

    def end_thinking(self, voice: Voice) -> bool:
        """Every sample that still thinks answers now."""
        ended = [chat.end_thinking(voice) for chat in self._chats]
        return any(ended)

    def cancel(self) -> None:
        """Nothing more is computed."""
        for chat in self._chats:
            chat.cancel()

    async def deltas(self) -> AsyncIterator[tuple[Choice | _Shown, Delta] | str]:
        """See `Chat.deltas`. Raises VerifierError, too, where the verifiers cannot judge."""
        if self._want.plan.samples == 1:
            async for choice, delta in self._chats[0].deltas():
                if delta.reason is None:
                    yield choice, delta
            await self._judge(0)
            found = await self._choose()
        else:
            async for said in self._several():
                yield said
            found = await self._choose()
        assert found is not None
        await self._settle(found)
        shown = self.choices[0]
        if self._want.plan.samples > 1:
            for delta in _spoken(shown):
                yield shown, delta
        yield shown, Delta(index=0, reason=shown.reason)

    async def _several(self) -> AsyncIterator[str]:
        """Begin samples and follow them until no more are wanted; how far they are."""
        tasks = [asyncio.create_task(self._follow(self._chats[0], 0))]
        told = ""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                for task in tasks:
                    if task.done():
                        task.result()
                found = await self._choose()
                if found is not None and (progress := self._progress(found)) != told:
                    told = progress
                    yield told
                if found is not None and found.over:
                    return
                if isinstance(self._chats[0].ticket, Unasked) and None not in self._ended:
                    return  # further samples would not be asked for either
                if (more := to_begin(self._want.plan, self._ended)) > len(self._ended):
                    first = len(self._ended)
                    chat = await self._begin(range(first, more))
                    self._chats.append(chat)
                    self._samples += chat.choices
                    self._ended += [None] * len(chat.choices)
                    tasks.append(asyncio.create_task(self._follow(chat, first)))
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError, Exception):  # told above where it matters
                    await task
            self.cancel()

    async def _follow(self, chat: Chat, first: int) -> None:
        """Judge each sample of a chat when it ends."""
        try:
            async with asyncio.TaskGroup() as group:
                async for choice, delta in chat.deltas():
                    if delta.reason is not None:
                        group.create_task(self._judge(first + choice.index))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            self._changed.set()

    async def _judge(self, number: int) -> None:
        sample, want = self._samples[number], self._want
        if sample.withheld is not None:
            self._ended[number] = Ended(read=Read(answer=None), tokens=sample.tokens)
            self._changed.set()
            return
        response = sample.response
        assert response is not None
        read = await self._verifiers.read(response.answer, want.gold)
        score = None if self._score is None else await self._score(response.thinking, response.answer)
        self._ended[number] = Ended(read=read, tokens=sample.tokens, score=score)
        self._changed.set()

    async def _choose(self) -> Chosen | None:
        ended = list(self._ended)  # more may end while answers are compared
        if self._want.plan.vote is not None:
            answers = [None if one is None else one.read.answer for one in ended]
            await self._verifiers.compare(self._comparisons, answers, self._want.gold)
        return choose(self._want.plan, ended, self._comparisons.same)

    async def _settle(self, found: Chosen) -> None:
        """Put the reply together."""
        want, sample, ended = self._want, self._samples[found.sample], self._ended[found.sample]
        assert ended is not None
        verdict = ended.read.verdict
        chat = next(chat for chat in self._chats if sample in chat.choices)
        self._own |= chat.more(sample.index)
        abstains = found.abstains and sample.withheld is None
        answer, reason = sample.answer, sample.reason
        if abstains and found.vote is not None and want.plan.abstain_below is not None:
            answer, reason = abstention(found.vote, want.plan.abstain_below), "stop"
            verdict = None if verdict is None else _NO_ANSWER
        if found.note is not None:
            self._notes.append(found.note)
        if (vote := found.vote) is not None:
            self._own["vote"] = {
                "counts": dict(vote.counts),
                "answer": vote.answer,
                "votes": vote.votes,
                "of": vote.of,
                "done": vote.done,
                "share": vote.share,
                "tied": vote.tied,
                "abstained": abstains,
            }
        if want.plan.best_of is not None:
            self._own["best_of"] = {"of": want.plan.best_of, "sample": found.sample, "score": ended.score}
        if want.plan.retries:
            self._own["retries"] = {"made": len(self._ended) - 1, "most": want.plan.retries, "sample": found.sample}
        if verdict is not None:
            self._own["check"] = _check(verdict)
        if want.plan.audit and sample.withheld is None:
            await self._audit(sample.thinking)
        if want.samples:
            clusters: Sequence[str | None] = () if found.vote is None else found.vote.clusters
            self._own["samples"] = [
                self._sample(number, clusters) for number, one in enumerate(self._ended) if one is not None
            ]
        self.choices = [_Shown(sample=sample, answer=answer, reason=reason)]

    async def _audit(self, thinking: str) -> None:
        claims = await self._verifiers.claims(thinking)
        if isinstance(claims, str):
            self._notes.append(f"the thinking could not be audited: {claims}")
            claims = []
        elif (note := audit_note(claims)) is not None:
            self._notes.append(note)
        self._own["audit"] = audit(claims)

    def _sample(self, number: int, clusters: Sequence[str | None]) -> dict[str, Any]:
        sample, ended = self._samples[number], self._ended[number]
        assert ended is not None
        if sample.withheld is not None:
            return {"sample": number, "answer": None, "content": "", "finish_reason": sample.reason, "cluster": ""}
        told: dict[str, Any] = {
            "sample": number,
            "answer": ended.read.answer,
            "content": sample.answer,
            "reasoning_content": sample.thinking,
            "finish_reason": sample.reason,
            "tokens": sample.tokens,
            "thinking_tokens": sample.thinking_tokens,
        }
        if clusters:
            told["cluster"] = clusters[number] or ""
        if ended.read.verdict is not None:
            told["check"] = _check(ended.read.verdict)
        if ended.score is not None:
            told["score"] = ended.score
        return told

    def _progress(self, found: Chosen) -> str:
        if (vote := found.vote) is None:
            done = sum(one is not None for one in self._ended)
            return f": sample {done}/{self._want.plan.samples}"
        return f": vote {vote.done}/{vote.of} {json.dumps(dict(vote.counts), ensure_ascii=False)}"


def _spoken(shown: Choice | _Shown) -> list[Delta]:
    """A whole reply in its pieces."""
    if shown.withheld is not None:
        return [Delta(index=0, kind="refusal", text=shown.withheld)]
    pieces: list[Delta] = []
    if shown.thinking:
        pieces.append(Delta(index=0, kind="thinking", text=shown.thinking))
    if shown.answer:
        pieces.append(Delta(index=0, kind="answer", text=shown.answer))
    return pieces


def _check(verdict: Verdict) -> Mapping[str, Any]:
    return {"outcome": verdict.outcome, "reason": verdict.reason, "answer": verdict.answer}
