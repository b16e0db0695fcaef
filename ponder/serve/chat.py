"""A chat reply while it is made: pieces from the engine become deltas, counted, until every choice has ended."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Protocol, Self

from ponder.policy.voice import Voice
from ponder.records import Tool
from ponder.rollout.engine import Job, Piece
from ponder.rollout.thoughts import closing_ids
from ponder.serve.choice import Choice, Delta
from ponder.serve.fault import Fault
from ponder.serve.reply import Account
from ponder.serve.serving import Ticket

__all__ = ["Chat", "Control", "Unasked"]

_ENDLESS = "the limit of tokens was reached while thinking; raise max_tokens"

_NAN = "The model computed numbers that are none (NaN); its weights may be damaged."
_STUCK = "The reply cannot go on as it was asked for: the schema leaves nothing to write here, or is too large."


class Unasked:
    """A ticket for a job that nobody computes: it has no pieces."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def cancel(self, choice: int | None = None) -> None:
        """There is nothing to cancel."""

    def force(self, choice: int, token_ids: Sequence[int]) -> None:
        """There is nothing to force."""

    async def __aiter__(self) -> AsyncIterator[Piece]:
        nothing: tuple[Piece, ...] = ()
        for piece in nothing:
            yield piece


class Control(Protocol):
    """What decides on how much of a reply is sent."""

    def again(self) -> Self:
        """The same for further samples of the conversation."""
        ...

    async def before(self) -> bool:
        """Whether the conversation may be answered at all."""
        ...

    def notes(self, choice: int | None = None) -> list[dict[str, str]]:
        """What a reader of this choice should know, of all where it is None."""
        ...

    def deltas(self, reply: "Chat") -> AsyncGenerator[tuple[Choice, Delta]]:
        """As `Chat.deltas`."""
        ...


class Chat:
    """One request's choices. Iterate over `deltas` once; then the choices, the account and the notes are whole."""

    def __init__(
        self,
        ticket: Ticket | Unasked,
        voice: Voice,
        silent: frozenset[int],
        *,
        stops: Sequence[str],
        opening: str,
        with_logprobs: bool,
        tools: Sequence[Tool] = (),
        control: Control | None = None,
    ) -> None:
        self.ticket, self.control = ticket, control
        self.choices = [
            Choice(index, voice, silent, stops=stops, opening=opening, with_logprobs=with_logprobs, tools=tools)
            for index in range(len(ticket.job.seeds))
        ]
        self.account = Account(prompt=0 if isinstance(ticket, Unasked) else len(ticket.job.prompt_ids))
        self.version = 0

    def deltas(self) -> AsyncGenerator[tuple[Choice, Delta]]:
        """Everything new that may be sent, choice by choice."""
        return self.computed() if self.control is None else self.control.deltas(self)

    async def computed(self) -> AsyncGenerator[tuple[Choice, Delta]]:
        """Everything that is new, choice by choice. Nothing is computed any more once this is left, however it is.

        Raises BusyError when the lane dies, Fault when the model computes what is no number.
        """
        account = self.account
        try:
            async for piece in self.ticket:
                choice = self.choices[piece.choice]
                account.first = account.first or time.monotonic()
                account.hit = piece.hit_tokens
                self.version = piece.weight_version
                if piece.reason == "failed":
                    raise Fault(500, _STUCK if self.ticket.job.guide is not None else _NAN)
                written, thinking = choice.tokens, choice.thinking_tokens
                deltas = choice.take(piece)
                account.written += choice.tokens - written
                account.thinking += choice.thinking_tokens - thinking
                for delta in deltas:
                    yield choice, delta
                if choice.stop is not None:
                    self.ticket.cancel(choice.index)
        finally:
            self.ticket.cancel()
            account.ended = time.monotonic()

    @property
    def ended(self) -> bool:
        """Whether every choice has."""
        return all(choice.reason is not None for choice in self.choices)

    def cancel(self) -> None:
        """Nothing more is computed."""
        self.ticket.cancel()

    def end_thinking(self, voice: Voice) -> bool:
        """Every choice that still thinks ends its thought now and answers; whether there was one."""
        thinking = [choice for choice in self.choices if choice.reason is None and choice.in_thinking]
        closing = closing_ids(voice)
        for choice in thinking:
            self.ticket.force(choice.index, closing)
        return bool(thinking)

    def more(self, choice: int | None = None) -> dict[str, Any]:
        """What else stands beside the reply, or beside one choice of it."""
        notes = [] if self.control is None else self.control.notes(choice)
        return {"risk": notes} if notes else {}

    def notes(self) -> list[str]:
        """What a reader of the reply should know."""
        cut = any(c.reason == "length" and c.thinking and not c.answer for c in self.choices)
        faults = [fault for choice in self.choices for fault in choice.call_faults]
        return [*([_ENDLESS] if cut else []), *(f"what begins as a call is none: {fault}" for fault in faults)]
