"""One choice of a reply while it is written: tokens in; text of thinking and answer, log-probs and counts out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ponder.policy.voice import Voice
from ponder.records import Tool, ToolCall
from ponder.rollout.drawing import Likeliest
from ponder.rollout.engine import Piece
from ponder.serve.calls import Calls
from ponder.serve.speech import Decode, Speech
from ponder.serve.speech import Piece as Said
from ponder.text.think import Response

__all__ = ["Choice", "Delta", "Reason", "Shown", "agreeing", "decoder"]

Reason = Literal["stop", "length", "tool_calls", "content_filter"]

_UNKNOWN = "\ufffd"
"""What stands for bytes that are no character, or only a part of one."""
_REMEMBERED, _FEW = 2**16, 4
"""So many texts are remembered, of at most so many tokens each: some 25 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What is new of a choice: text of one kind, a call, which is the `number`-th, what is said in
    place of a withheld reply, or its end."""

    index: int
    kind: Literal["thinking", "answer", "call", "refusal"] | None = None
    text: str = ""
    call: ToolCall | None = None
    number: int = 0
    reason: Reason | None = None


class Shown(Protocol):
    """What a reply's form reads of a choice."""

    @property
    def index(self) -> int: ...

    @property
    def thinking(self) -> str: ...

    @property
    def answer(self) -> str: ...

    @property
    def calls(self) -> Sequence[ToolCall]: ...

    @property
    def withheld(self) -> str | None: ...

    @property
    def reason(self) -> Reason | None: ...

    @property
    def stop(self) -> str | None: ...

    def take_logprobs(self) -> dict[str, list[dict[str, Any]]]: ...


def decoder(voice: Voice) -> Decode:
    """Ids to text as the engine's completions have it."""
    return _decoder(voice.tokenizer)


@lru_cache(maxsize=2)
def _decoder(tokenizer: PreTrainedTokenizerBase) -> Decode:
    """Texts of a few tokens are remembered: a server asks for the same ones over and over, once per token."""
    fast = tokenizer.backend_tokenizer if isinstance(tokenizer, PreTrainedTokenizerFast) else None

    def decode(ids: Sequence[int]) -> str:
        if fast is not None:  # a tenth of the time
            return str(fast.decode(list(ids), skip_special_tokens=False))
        text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    remembered = lru_cache(maxsize=_REMEMBERED)(decode)
    return lambda ids: remembered(tuple(ids)) if len(ids) <= _FEW else decode(ids)


def agreeing(top: Likeliest, token: int, logprob: float) -> Likeliest:
    """The same with the log-prob of `token` as it is told elsewhere, to the last bit: harnesses ask whether a token was
    the likeliest by comparing the two."""
    pairs = [(other, logprob if other == token else its_logprob) for other, its_logprob in top]
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


class Choice:
    """`response` stands once it has ended; `thinking` and `answer` are the texts that have been shown."""

    def __init__(
        self,
        index: int,
        voice: Voice,
        silent: frozenset[int],
        *,
        stops: Sequence[str] = (),
        opening: str = "",
        with_logprobs: bool = False,
        tools: Sequence[Tool] = (),
    ) -> None:
        self.index = index
        self._decode = decoder(voice)
        self._silent = silent
        self._speech = Speech(voice.template, self._decode, silent, stops, opening, patient=bool(tools))
        form = voice.template.call_form(voice.tokenizer) if tools else None
        self._calls = None if form is None else Calls(form, tools, os.urandom(10).hex())
        self._with_logprobs = with_logprobs
        self.thinking = self.answer = ""
        self.tokens = self._called = 0
        self.reason: Reason | None = None
        self.response: Response | None = None
        self.withheld: str | None = None
        self._logprobs: dict[str, list[dict[str, Any]]] = {"thinking": [], "answer": []}

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The calls so far."""
        return () if self._calls is None else self._calls.calls

    @property
    def call_faults(self) -> Sequence[str]:
        """Why what began as calls are none."""
        return () if self._calls is None else self._calls.faults

    @property
    def thinking_tokens(self) -> int:
        """Tokens of thinking, the closing tag among them."""
        return self._speech.thinking_tokens

    @property
    def in_thinking(self) -> bool:
        """Whether it thinks now."""
        return self._speech.in_thinking

    @property
    def stop(self) -> str | None:
        """The stop string that ended it."""
        return self._speech.stop

    def take(self, piece: Piece) -> list[Delta]:
        """What a piece settles. After a stop string the choice has ended, whatever the engine still says of it."""
        if self.reason is not None:
            return []
        assert piece.reason != "failed"
        deltas: list[Delta] = []
        if not self._with_logprobs and not self._speech.may_stop:
            self.tokens += len(piece.token_ids)
            deltas = self._shown(self._speech.feed(piece.token_ids))
            return _joined(deltas if piece.reason is None else [*deltas, *self._close(piece.reason)])
        for i, (token, logprob) in enumerate(zip(piece.token_ids, piece.logprobs, strict=True)):
            self.tokens += 1
            kind = "thinking" if self._speech.in_thinking else "answer"
            if self._with_logprobs and token not in self._silent:
                self._logprobs[kind].append(self._entry(token, logprob, piece.top[i] if piece.top else ()))
            deltas += self._shown(self._speech.feed([token]))
            if self.stop is not None:
                return _joined([*deltas, *self._close("stop")])
        if piece.reason is not None:
            deltas += self._close(piece.reason)
        return _joined(deltas)

    def withhold(self, said: str) -> None:
        """It has ended; of all that it wrote nothing more is shown, and this is said in its place."""
        self.withheld, self.reason = said, "content_filter"

    def take_logprobs(self) -> dict[str, list[dict[str, Any]]]:
        """The log-probs that nobody has taken yet, of answer and of thinking, as OpenAI's and DeepSeek's clients know
        them."""
        found = {"content": self._logprobs["answer"], "reasoning_content": self._logprobs["thinking"]}
        self._logprobs = {"thinking": [], "answer": []}
        return found

    def _close(self, reason: Literal["stop", "length"]) -> list[Delta]:
        pieces, self.response = self._speech.close(finished=reason == "stop")
        shown = self._shown(pieces)
        if self._calls is not None:
            shown += self._told(self._calls.close())
        if self.stop is not None:  # found in what was undecided until now
            reason = "stop"
        self.reason = "tool_calls" if reason == "stop" and self.calls else reason
        return [*shown, Delta(index=self.index, reason=self.reason)]

    def _shown(self, pieces: Sequence[Said]) -> list[Delta]:
        deltas = []
        for one in pieces:
            if one.kind == "thinking":
                self.thinking += one.text
                deltas.append(Delta(index=self.index, kind="thinking", text=one.text))
            else:
                deltas += self._told([one.text] if self._calls is None else self._calls.feed(one.text))
        return deltas

    def _told(self, settled: Sequence[str | ToolCall]) -> list[Delta]:
        """Text and calls of the answer."""
        deltas = []
        for one in settled:
            if isinstance(one, ToolCall):
                self._called += 1
                deltas.append(Delta(index=self.index, kind="call", call=one, number=self._called - 1))
            else:
                self.answer += one
                deltas.append(Delta(index=self.index, kind="answer", text=one))
        return deltas

    def _entry(self, token: int, logprob: float, top: Likeliest) -> dict[str, Any]:
        return self._named(token, logprob) | {
            "top_logprobs": [self._named(*one) for one in agreeing(top, token, logprob)]
        }

    def _named(self, token: int, logprob: float) -> dict[str, Any]:
        text = self._decode([token])
        is_part = _UNKNOWN in text  # of a character: its own bytes are not known here
        return {"token": text, "logprob": logprob, "bytes": None if is_part else list(text.encode())}


def _joined(deltas: Sequence[Delta]) -> list[Delta]:
    """Neighbours of one kind as one."""
    if len(deltas) < 2:
        return list(deltas)
    found: list[Delta] = []
    for delta in deltas:
        if found and delta.kind in ("thinking", "answer") and found[-1].kind == delta.kind:
            found[-1] = Delta(index=delta.index, kind=delta.kind, text=found[-1].text + delta.text)
        else:
            found.append(delta)
    return found
