"""One sample's tokens as people and programs read them: ids -> text -> thinking and answer, piece by piece.

In: new ids of one sample, cut anywhere. Out: pieces of thinking and of answer, whose texts put together are those of
`Template.split` over the whole. The text is what the engine's own completion holds: no end token, no padding, no half
of a character. Stop strings count in the answer only, and what may be the beginning of one is held back.

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
        self._ids: list[int] = []
        self._start = self._read = 0  # ids from `start` on are decoded together; those before `read` are text already

    def feed(self, ids: Sequence[int]) -> str:
        """The characters that these ids complete."""
        self._ids += [one for one in ids if one not in self._silent]
        before = self._decode(self._ids[self._start : self._read])
        whole = self._decode(self._ids[self._start :])
        if whole.endswith("\ufffd") or len(whole) <= len(before):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return whole[len(before) :]

    def flush(self) -> str:
        """What an unfinished character leaves, as the decoder writes it."""
        before = self._decode(self._ids[self._start : self._read])
        whole = self._decode(self._ids[self._start :])
        self._start, self._read = self._read, len(self._ids)
        return whole[len(before) :]


class Stops:
    """Text up to a stop string; what may be the beginning of one is held back. `found` names it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        """The text that is settled; none after a stop string."""
        if self.found is not None:
            return ""
        text = self._held + text
        found = [(text.index(stop) + len(stop), text.index(stop), stop) for stop in self._stops if stop in text]
        if found:  # the one that is complete first, wherever the text was cut
            _, start, self.found = min(found)
            self._held = ""
            return text[:start]
        held = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
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
        self._parser = template.parser()
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
    def in_thinking(self) -> bool:
        """Whether the next token is one of thinking, unless it ends it."""
        return self._parser.in_thinking

    def feed(self, ids: Sequence[int]) -> list[Piece]:
        """The pieces that these ids settle; none after a stop string."""
        pieces: list[Piece] = []
        for one in ids:
            if self.stop is not None:
                break
            self.thinking_tokens += self._parser.in_thinking
            pieces += self._read(self._parser.feed(self._characters.feed([one])))
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
    groups = groupby((piece for piece in pieces if piece.text), key=lambda piece: piece.kind)
    return [Piece(kind=kind, text="".join(piece.text for piece in group)) for kind, group in groups]
