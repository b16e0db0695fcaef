"""Split what a model wrote into thinking and answer, as it arrives.

In: chunks of text, cut anywhere. Out: events (pieces of thinking and of answer) and, at the end, a `Response`. Cutting
the same text differently changes neither the response nor the pieces put together. Nothing here knows a tokenizer.

The tags are exactly `<think>`, `</think>` and, for templates that have them, `<answer>`, `</answer>`. An answer is
what stands after the last of the think tags: the last complete answer block, or else the plain text. Whatever is odd
(a missing, repeated or misplaced tag, stray text) makes the response not well formed and says why, and in doubt
there is no answer: a half written one, an empty one and one inside the thinking count as none.

So rewards and evaluations read. For people who read a reply, what follows its first thought is the answer, in which
think tags are text (`strict=False`); and where replies have no think tags, one counts at the very beginning alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["Event", "Response", "ThinkParser"]

Kind = Literal["thinking", "answer"]
_THINK_TAGS = ("<think>", "</think>")
_ANSWER_TAGS = ("<answer>", "</answer>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A completion taken apart. Example: Response(thinking="2+3 is 5", answer="5", well_formed=True, problem="").

    Both texts are without the blanks around them. `thinking` is None where no think tag was seen and "" where the
    thinking is empty, which is well formed. `problem` says why a response is not well formed, else it is "". `copied`
    names what only repeats the template's own words.
    """

    thinking: str | None
    answer: str | None
    well_formed: bool
    problem: str
    copied: tuple[Kind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A piece of text for people who watch. Pieces with the same `block` (0, 1, ...) belong together; the answer of
    the response, if it has one, is all pieces of one block."""

    kind: Kind
    block: int
    text: str


class _Block:
    """Text of one kind without the blanks at its ends: trailing blanks wait until more text follows them."""

    def __init__(self, kind: Kind, number: int) -> None:
        self.kind: Kind = kind
        self.number = number
        self.pieces: list[str] = []
        self._blanks = ""

    def write(self, text: str) -> list[Event]:
        text = self._blanks + text if self.pieces else text.lstrip()
        piece = text.rstrip()
        self._blanks = text[len(piece) :] if self.pieces or piece else ""
        if not piece:
            return []
        self.pieces.append(piece)
        return [Event(kind=self.kind, block=self.number, text=piece)]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ThinkParser:
    """The state machine: `feed` chunks, `flush` to get the last events, `close` for the response.

    `answer_tags`: whether the answer stands in `<answer>` tags; without, these tags are ordinary text. `think_tags`:
    whether there must be thinking; without, a text that does not begin with a think tag is well formed, and all of it
    is the answer. Not `strict`, think tags after the first thought are text of the answer.
    """

    def __init__(self, *, answer_tags: bool, think_tags: bool = True, strict: bool = True) -> None:
        self._answer_tags = answer_tags
        self._think_tags = think_tags
        self._strict = strict and think_tags
        tags = _THINK_TAGS + _ANSWER_TAGS if answer_tags else _THINK_TAGS
        self._tag = re.compile("|".join(tags))
        self._beginnings = {tag[:length] for tag in tags for length in range(1, len(tag))}
        self._longest = max(len(tag) for tag in tags) - 1
        self._place: Literal["before", "thinking", "after", "answer"] = "before"
        self._waiting = ""  # perhaps the beginning of a tag
        self._before = ""  # text before any tag: which kind it is shows later
        self._blocks: list[_Block] = []
        self._block: _Block | None = None
        self._answer: str | None = None  # the last complete answer block
        self._answers = 0
        self._problem = ""
        self._flushed = False

    @property
    def in_thinking(self) -> bool:
        """Whether the text that comes next is thinking, unless a tag says otherwise."""
        return self._place == "thinking"

    @property
    def in_tag(self) -> bool:
        """Whether the text so far ends with what may be the beginning of a tag."""
        return bool(self._waiting)

    @property
    def undecided(self) -> str:
        """Text of which no tag has told yet what it is."""
        return self._before if self._place == "before" else ""

    def feed(self, chunk: str) -> list[Event]:
        """The events that `chunk` settles."""
        assert not self._flushed, "feed after flush or close"
        events: list[Event] = []
        text = self._waiting + chunk
        if "<" not in text:  # every tag begins with it
            return self._text(text)
        position = 0
        for match in self._tag.finditer(text):
            events += self._text(text[position : match.start()])
            events += self._on_tag(match.group())
            position = match.end()
        rest = text[position:]
        lengths = range(1, min(self._longest, len(rest)) + 1)
        settled = len(rest) - max((n for n in lengths if rest[-n:] in self._beginnings), default=0)
        self._waiting = rest[settled:]
        return events + self._text(rest[:settled])

    def flush(self) -> list[Event]:
        """End the text: the events still held back, such as a beginning of a tag that turned out to be text."""
        if self._flushed:
            return []
        self._flushed = True
        events = self._text(self._waiting)
        if self._place == "before":
            self._place = "after"
            if self._think_tags:
                self._note("the think tags are missing")
            events += self._text(self._before)
        return events

    def close(self, *, finished: bool = True) -> Response:
        """The response. `finished=False` says that the text was cut at a length limit: then only an answer in closed
        tags counts."""
        self.flush()
        thinking = [block.text for block in self._blocks if block.kind == "thinking"]
        if self._place == "thinking":
            self._note("</think> is missing")
        elif self._place == "answer":
            self._note("</answer> is missing")
        elif self._answers == 0 and self._block is not None:
            if finished:
                self._answer = self._block.text
            else:
                self._note("cut at the length limit")
        if not self._answer:
            self._note("there is no answer")
        return Response(
            thinking="\n\n".join(filter(None, thinking)) if thinking else None,
            answer=self._answer or None,
            well_formed=not self._problem,
            problem=self._problem,
        )

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem

    def _open(self, kind: Kind) -> None:
        self._block = _Block(kind, len(self._blocks))
        self._blocks.append(self._block)

    def _text(self, text: str) -> list[Event]:
        if self._place == "before" and (self._think_tags or not (self._before + text).strip()):
            self._before += text
            return []
        if self._place == "before":
            self._place, text = "after", self._before + text
        if self._place == "after":
            if self._block is None and not text.strip():
                return []
            if self._block is None:
                self._open("answer")
            if self._answer_tags:
                self._note("there is text outside the tags")
        assert self._block is not None
        return self._block.write(text)

    def _on_tag(self, tag: str) -> list[Event]:
        match tag:
            case "<think>" | "</think>" if not self._strict and self._place in ("after", "answer"):
                return self._text(tag)
            case "<think>":
                return self._think()
            case "</think>":
                return self._end_think()
            case "<answer>" | "</answer>" if self._place == "thinking":
                self._note(f"{tag} stands inside the thinking")
                return self._text(tag)
            case "<answer>":
                self._start_answer()
            case _:
                self._end_answer()
        return []

    def _think(self) -> list[Event]:
        if self._place == "before":
            if self._before.strip():
                self._note("there is text before <think>")
        else:
            self._note("<think> occurs more than once")
        if self._place != "thinking":
            self._forget_answer()
            self._open("thinking")
            self._place = "thinking"
        return []

    def _end_think(self) -> list[Event]:
        events: list[Event] = []
        if self._place == "before":
            self._note("</think> without <think>")
            self._open("thinking")
            self._place = "thinking"
            events = self._text(self._before)
        elif self._place != "thinking":
            self._note("</think> occurs more than once")
        self._forget_answer()
        self._place = "after"
        return events

    def _start_answer(self) -> None:
        if self._place == "before":
            self._note("there is no thinking before <answer>")
        elif self._place == "answer":
            self._note("<answer> inside an answer")
        elif self._answers:
            self._note("there is more than one answer block")
        self._answers += 1
        self._answer = None  # until this block is closed
        self._open("answer")
        self._place = "answer"

    def _end_answer(self) -> None:
        if self._place != "answer":
            self._note("</answer> without <answer>")
            return
        assert self._block is not None
        self._answer = self._block.text
        self._block = None
        self._place = "after"

    def _forget_answer(self) -> None:
        """An answer counts only after the last think tag."""
        self._answer, self._answers, self._block = None, 0, None
