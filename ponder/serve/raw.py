"""`/v1/completions`: text goes on as it stands. No template, no thinking apart: what the model writes, raw."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.policy.voice import Voice
from ponder.rollout.drawing import Likeliest
from ponder.rollout.engine import Job, Piece
from ponder.serve.choice import Reason, agreeing, decoder
from ponder.serve.fault import Fault
from ponder.serve.prompt import Prompt
from ponder.serve.reply import Account, quoted, to_json, usage
from ponder.serve.serving import Serving, Ticket
from ponder.serve.speech import Characters, Stops
from ponder.serve.wire import CompletionRequest

__all__ = ["RawChoice", "RawReply", "prompt_of", "score"]

USUAL_TOKENS = 16
"""Tokens of a completion where a request names no limit, as OpenAI's interface has it."""


def prompt_of(voice: Voice, given: str | Sequence[int]) -> Prompt:
    """The ids of a raw prompt; ids are taken as they are."""
    ids = tuple(voice.tokenizer(given, add_special_tokens=True).input_ids if isinstance(given, str) else given)
    if not ids:
        raise Fault(400, "The prompt is empty, and there is nothing to go on from: give it a text.", param="prompt")
    if wrong := [one for one in ids if not 0 <= one < len(voice.tokenizer)]:
        raise Fault(400, f"Token {wrong[0]} is none of the {len(voice.tokenizer)} that there are.", param="prompt")
    return Prompt(ids=ids, opening="", public_tokens=0)


async def score(
    serving: Serving, ids: Sequence[int], key: str, salt: str | None, owner: str, top: int
) -> tuple[list[float], list[Likeliest]]:
    """The log-prob of each token of a prompt after those before it, but for the first, and the `top` most likely tokens
    there: they are forced, one after the other, on a completion of the first."""
    if len(ids) == 1:
        return [], []
    ticket = await serving.submit(
        Job(
            prompt_ids=tuple(ids[:1]),
            seeds=(0,),
            max_tokens=len(ids) - 1,
            key=key,
            stop_ids=frozenset(),
            forced=tuple(ids[1:]),
            salt=salt,
            owner=owner,
            top=top,
        )
    )
    found: list[float] = []
    likely: list[Likeliest] = []
    try:
        async for piece in ticket:
            found += piece.logprobs
            likely += piece.top
    finally:
        ticket.cancel()
    return found, likely


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    logprob: float | None
    top: dict[str, float] | None = None


class RawChoice:
    """One completion of one prompt while it is written. `before` is the prompt where it is to be echoed, with the
    log-probs of its tokens where these are wanted."""

    def __init__(
        self,
        index: int,
        voice: Voice,
        silent: frozenset[int],
        stops: Sequence[str],
        before: Sequence[int],
        *,
        with_logprobs: bool,
    ) -> None:
        self.index = index
        self._decode = decoder(voice)
        self._characters = Characters(self._decode, silent)
        self._stops = Stops(stops)
        self._with_logprobs = with_logprobs
        self.text = self._decode(before) if before else ""
        self._tokens: list[_Token] = []
        self._taken = 0
        self._has_top = False
        self.tokens = 0
        self.reason: Reason | None = None

    @property
    def stop(self) -> str | None:
        """The stop string that ended it."""
        return self._stops.found

    def echo(self, ids: Sequence[int], logprobs: Sequence[float], top: Sequence[Likeliest]) -> None:
        """Put the prompt's tokens before its own; the first has no log-prob."""
        self._tokens = [_Token(self._decode(ids[:1]), None)]
        self._write(ids[1:], logprobs, top)

    def end(self) -> None:
        """Nothing is written: the prompt alone was asked about."""
        self.reason = "length"

    def take(self, piece: Piece) -> str:
        """The text that a piece settles."""
        assert piece.reason != "failed"
        text = ""
        for i, token in enumerate(piece.token_ids):
            if self.stop is not None:
                break
            self.tokens += 1
            if self._with_logprobs:
                self._write([token], piece.logprobs[i : i + 1], piece.top[i : i + 1])
            text += self._stops.feed(self._characters.feed([token]))
        if self.stop is None and piece.reason is not None:
            text += self._stops.feed(self._characters.flush()) + self._stops.flush()
        if self.stop is not None:
            self.reason = "stop"
        else:
            self.reason = piece.reason
        self.text += text
        return text

    def _write(self, ids: Sequence[int], logprobs: Sequence[float], top: Sequence[Likeliest]) -> None:
        """Tokens with what is known of them. One that is not among the most likely stands behind these; of several with
        the same text, as parts of a character have, the most likely is told."""
        for i, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
            text = self._decode([token])
            likely: dict[str, float] | None = None
            if top:
                self._has_top, likely = True, {}
                for other, its_logprob in (*agreeing(top[i], token, logprob), (token, logprob)):
                    likely.setdefault(self._decode([other]), its_logprob)
            self._tokens.append(_Token(text, logprob, likely))

    def logprobs(self) -> dict[str, Any]:
        """Those of the tokens that nobody has taken yet, as OpenAI's older interface has them."""
        offsets = [0]
        for token in self._tokens:
            offsets.append(offsets[-1] + len(token.text))
        first, self._taken = self._taken, len(self._tokens)
        return {
            "tokens": [token.text for token in self._tokens[first:]],
            "token_logprobs": [token.logprob for token in self._tokens[first:]],
            "top_logprobs": [token.top for token in self._tokens[first:]] if self._has_top else None,
            "text_offset": offsets[first:-1],
        }


class RawReply:
    """All completions of a request, each prompt's one after the other."""

    def __init__(self, identity: str, model: str, asked: CompletionRequest, account: Account) -> None:
        self._head = {"id": identity, "object": "text_completion", "created": int(time.time()), "model": model}
        self._asked, self.account = asked, account
        self._before = to_json({**self._head, "choices": []})[: -len("]}")]
        self.choices: list[RawChoice] = []
        self._tickets: list[tuple[Ticket, list[RawChoice]]] = []

    def add(self, ticket: Ticket | None, choices: Sequence[RawChoice]) -> None:
        """The completions of one more prompt; without a ticket nothing is written."""
        self.choices += choices
        if ticket is not None:
            self._tickets.append((ticket, list(choices)))

    def cancel(self) -> None:
        """Nothing more is computed."""
        for ticket, _ in self._tickets:
            ticket.cancel()

    async def texts(self) -> AsyncIterator[tuple[RawChoice, str]]:
        """What is new, prompt by prompt."""
        for choice in self.choices:
            if choice.text and self._asked.stream:
                yield choice, choice.text
        for ticket, choices in self._tickets:
            hit = 0
            async for piece in ticket:
                choice, before = choices[piece.choice], choices[piece.choice].tokens
                self.account.hit += piece.hit_tokens - hit
                hit = piece.hit_tokens
                self.account.first = self.account.first or time.monotonic()
                if piece.reason == "failed":
                    raise Fault(500, "The model computed numbers that are none (NaN); its weights may be damaged.")
                text = choice.take(piece)
                self.account.written += choice.tokens - before  # whether or not anybody reads on
                yield choice, text
                if choice.stop is not None:
                    ticket.cancel(choice.index % len(choices))

    def text(self, choice: RawChoice, text: str) -> str:
        """`chunk` of text without log-probs that ends nothing, as JSON: what a server writes most."""
        assert choice.reason is None and self._asked.logprobs is None
        one = f'{{"index":{choice.index},"text":{quoted(text)},"finish_reason":null,"logprobs":null}}'
        return f"{self._before}{one}]}}"

    def chunk(self, choice: RawChoice, text: str) -> dict[str, Any]:
        """A piece of a stream."""
        return {**self._head, "choices": [self._one(choice, text)]}

    def usage_chunk(self) -> dict[str, Any]:
        """The last piece of a stream that asked for it."""
        return {**self._head, "choices": [], "usage": usage(self.account)}

    def body(self) -> dict[str, Any]:
        """The whole reply."""
        choices = [self._one(choice, choice.text) for choice in self.choices]
        return {**self._head, "choices": choices, "usage": usage(self.account)}

    def _one(self, choice: RawChoice, text: str) -> dict[str, Any]:
        found: dict[str, Any] = {"index": choice.index, "text": text, "finish_reason": choice.reason}
        found["logprobs"] = choice.logprobs() if self._asked.logprobs is not None else None
        if choice.stop is not None:
            found["stop_reason"] = choice.stop
        return found
