"""One sample's tokens as people and programs read them: ids -> text -> thinking and answer, piece by piece.

In: new ids of one sample, cut anywhere. Out: pieces of thinking and of answer, whose texts put together are those of
the template's parser over the whole, where all that follows the first thought is the answer. The text is what the
engine's own completion holds: no end token, no padding, no half of a character. Stop strings count in the answer only,
and what may be the beginning of one is held back.

A parser that has seen no tag yet cannot know whether a text is thinking; a model that never thinks would show nothing
until its end. So after `_UNDECIDED` characters without a tag the text counts as an answer and is shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from ponder.text.template import Template
from ponder.text.think import Event, Response

__all__ = ["Characters", "Decode", "Piece", "Speech", "Stops"]

_UNDECIDED = 64
"""Characters before any tag after which a text is shown as an answer."""

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Text of one kind. Example: Piece(kind="answer", text="5")."""

    kind: Literal["thinking", "answer"]
    text: str


class Characters:
    """Ids -> whole characters. A character may take several tokens; until its last one is there it is held back."""

    def __init__(self, decode: Decode, silent: frozenset[int]) -> None:
        self._decode, self._silent = decode, silent
        self._known: tuple[int, ...] = ()  # ids that are text already, with which those that follow are decoded
        self._before = ""  # their text
        self._new: tuple[int, ...] = ()

    def feed(self, ids: Sequence[int]) -> str:
        """The characters that these ids complete."""
        self._new += tuple(one for one in ids if one not in self._silent)
        whole = self._decode(self._known + self._new)
        if whole.endswith("\ufffd") or len(whole) <= len(self._before):
            return ""
        return self._settle(whole)

    def flush(self) -> str:
        """What an unfinished character leaves, as the decoder writes it."""
        return self._settle(self._decode(self._known + self._new))

    def _settle(self, whole: str) -> str:
        text = whole[len(self._before) :]
        self._known, self._new = self._new, ()
        self._before = self._decode(self._known)
        return text


class Stops:
    """Text up to a stop string; what may be the beginning of one is held back. `found` names it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.wanted = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """The text that is settled; none after a stop string."""
        if self.found is not None:
            return ""
        if not self.wanted:
            return text
        text = self._held + text
        found = [(text.index(stop) + len(stop), text.index(stop), stop) for stop in self.wanted if stop in text]
        if found:  # the one that is complete first, wherever the text was cut
            _, start, self.found = min(found)
            self._held = ""
            return text[:start]
        held = max((n for stop in self.wanted for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back after all, at the end or where another text begins."""
        text, self._held = self._held, ""
        return text


class Speech:
    """The text of one sample. `stops` end its answer and are not part of it; `decode` and `silent` are the engine's;
    `opening` is text that the prompt ends with and that belongs to the reply, beyond the template's prefill. A
    `patient` one shows nothing before it is known what it is.

    `thinking_tokens` counts the tokens read while thinking.
    """

    def __init__(
        self,
        template: Template,
        decode: Decode,
        silent: frozenset[int],
        stops: Sequence[str] = (),
        opening: str = "",
        *,
        patient: bool = False,
    ) -> None:
        self._characters = Characters(decode, silent)
        self._parser = template.parser(strict=False)
        self._parser.feed(opening)
        self._stops = Stops(stops)
        self._patient = patient
        self._shown = ""  # of the undecided text, as an answer
        self._block = -1
        self._thought: int | None = None  # the last block of thinking
        self._answer = ""  # of the last block of answer
        self.thinking_tokens = 0

    @property
    def stop(self) -> str | None:
        """The stop string that ended the answer."""
        return self._stops.found

    @property
    def may_stop(self) -> bool:
        """Whether there are stop strings."""
        return bool(self._stops.wanted)

    @property
    def in_thinking(self) -> bool:
        """Whether the next token is one of thinking, unless it ends it."""
        return self._parser.in_thinking

    def feed(self, ids: Sequence[int]) -> list[Piece]:
        """The pieces that these ids settle; none after a stop string."""
        texts = [self._characters.feed([one]) for one in ids]
        if not self._parser.in_tag and not self.may_stop and "<" not in (text := "".join(texts)):
            self.thinking_tokens += len(texts) * self._parser.in_thinking  # nothing begins or ends here: all at once
            return _joined(self._read(self._parser.feed(text)))
        pieces: list[Piece] = []
        for text in texts:
            if self.stop is not None:
                break
            self.thinking_tokens += self._parser.in_thinking
            pieces += self._read(self._parser.feed(text))
        return _joined(pieces)

    def close(self, *, finished: bool) -> tuple[list[Piece], Response]:
        """The last pieces and the whole response; `finished` says that the sample was not cut at its limit."""
        pieces: list[Piece] = []
        if self.stop is None:
            pieces += self._read(self._parser.feed(self._characters.flush()))
            pieces += self._read(self._parser.flush())
        if self.stop is None:
            pieces += self._say(self._stops.flush())
        response = self._parser.close(finished=finished)
        if self.stop is not None:
            response = replace(response, answer=self._answer.strip() or None)
        return _joined(pieces), response

    def _read(self, events: Sequence[Event]) -> list[Piece]:
        pieces: list[Piece] = []
        for event in events:
            text = event.text
            if self._shown and event.block != self._block:  # the parser now says what was undecided
                text, self._shown = text.removeprefix(self._shown), ""
            if event.kind == "thinking":
                if text and self._thought not in (None, event.block):
                    text = "\n\n" + text  # as the response puts several thoughts together
                self._thought = event.block if text else self._thought
                pieces.append(Piece(kind="thinking", text=text))
            else:
                if event.block != self._block:
                    self._answer = ""
                    self._stops.flush()
                pieces += self._say(self._stops.feed(text))
            self._block = event.block
        undecided = self._parser.undecided.strip()
        if len(undecided) > _UNDECIDED and not self._patient:
            pieces += self._say(self._stops.feed(undecided[len(self._shown) :]))
            self._shown = undecided
        return pieces

    def _say(self, text: str) -> list[Piece]:
        self._answer += text
        return [Piece(kind="answer", text=text)]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece, empty ones left out."""
    if len(pieces) < 2:
        return [piece for piece in pieces if piece.text]
    groups = groupby((piece for piece in pieces if piece.text), key=lambda piece: piece.kind)
    return [Piece(kind=kind, text="".join(piece.text for piece in group)) for kind, group in groups]
