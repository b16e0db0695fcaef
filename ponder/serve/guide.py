"""How a guided reply is written: parts one after the other, the thinking free and what follows it by a grammar.

    GrammarGuide (in a job) -> Parts: Words("<think>"), Free("</think>"), Words("<answer>"), Written(grammar), ...

The words of the template are matched by what tokens spell, whether they are single tokens or several. A tag's last
token must not hold what follows it, and no tag of the template is ever completed inside what the grammar writes, where
it would end the answer.

Shapes: V tokens that the model knows.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from ponder.policy.voice import Voice
from ponder.serve.grammar import Matcher, Vocabulary, vocabulary
from ponder.text.template import Template

__all__ = ["GrammarGuide", "Parts", "tags_of"]

_THINK, _END_THINK = "<think>", "</think>"
_ANSWER, _END_ANSWER = "<answer>", "</answer>"
_TAG_ENDS = b">"
"""What the last token of a tag holds."""
_MOST_BLANKS = 2
"""Tokens of blanks between two parts."""

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrammarGuide:
    """A reply whose part after the thinking is in `grammar` (llguidance's Lark), between the texts `before` and
    `behind`. `in_answer`: it stands where an answer does, in the answer's tags where the template has them.
    `thinks`: a thought comes first, if the template has thoughts. `freely`: the reply is free, and only once it writes
    `before` the grammar holds."""

    grammar: str
    before: str = ""
    behind: str = ""
    in_answer: bool = True
    thinks: bool = True
    freely: bool = False

    def open(self, voice: Voice, size: int) -> "Parts":
        """See `GuideMaker.open`."""
        template = voice.template
        known = _known(voice.tokenizer, template, voice.stop_ids, voice.silent_ids(), size)
        parts: list[_Part] = []
        if template.thinking and self.thinks:
            parts += [] if template.parser().in_thinking else [_Words(known, _THINK)]
            parts.append(_Free(known, _END_THINK))
        if self.in_answer and not self.freely and template.answer_tags and (self.thinks or not template.thinking):
            parts.append(_Words(known, _ANSWER))
        if self.freely:
            parts.append(_Free(known, self.before, ends=True))
        elif self.before:
            parts.append(_Words(known, self.before))
        parts.append(_Written(known, self.grammar))
        if self.behind:
            parts.append(_Words(known, self.behind))
        if self.in_answer and not self.freely and template.answer_tags:
            parts.append(_Words(known, _END_ANSWER))
        return Parts(known, parts)


class _Known:
    """What tokens spell, and masks over them, which all samples share."""

    def __init__(self, tokens: Vocabulary, tags: Sequence[str], stop_ids: frozenset[int], size: int) -> None:
        self.tokens, self.size = tokens, size
        self._tags = tuple(tag.encode() for tag in tags)
        self._kept: dict[tuple[str, bytes, bytes], _Mask] = {}
        self.stops = np.zeros(size, np.bool_)
        """The tokens that end a reply."""
        self.stops[list(stop_ids)] = True
        self.blank = self._mask([i for i, one in enumerate(tokens.spelled) if one.isspace()])
        """Tokens of blanks alone."""
        self.speaking = self._mask([i for i, one in enumerate(tokens.spelled) if one])
        """Tokens that spell something."""
        self._by_first: dict[bytes, list[int]] = defaultdict(list)  # byte that is no blank -> tokens
        for i, one in enumerate(tokens.spelled):
            self._by_first[one.lstrip()[:1]].append(i)
        self._closing = [i for i, one in enumerate(tokens.spelled) if _TAG_ENDS in one]

    def beginning(self, words: bytes, written: bytes) -> _Mask:
        """Tokens that go on with `words`, of which so much is written; blanks may stand before the first."""
        return self._where("beginning", words, written)

    def beyond(self, tag: bytes, before: bytes) -> _Mask:
        """Tokens that complete the tag after `before` and say something more."""
        return self._where("beyond", tag, _pending((tag,), before))

    def completing(self, before: bytes) -> _Mask:
        """Tokens that complete one of the template's tags after `before`."""
        return self._where("completing", b"", _pending(self._tags, before))

    def _where(self, rule: str, words: bytes, before: bytes) -> _Mask:
        """Made once: of the tokens that the rule can concern at all, which are few, those that it does."""
        key = rule, words, before
        if key not in self._kept:
            spelled = self.tokens.spelled
            match rule:
                case "beginning" if before:
                    likely = self._by_first[words[len(before) :][:1].strip()]
                    found = [i for i in likely if words.startswith(before + spelled[i])]
                case "beginning":
                    found = [i for i in self._by_first[words[:1]] if words.startswith(spelled[i].lstrip())]
                case "beyond":
                    found = [i for i in self._closing if (before + spelled[i]).partition(words)[2].strip()]
                case _:
                    found = [i for i in self._closing if any(tag in before + spelled[i] for tag in self._tags)]
            self._kept[key] = self._mask(found)
        return self._kept[key]

    def _mask(self, ids: Sequence[int]) -> _Mask:
        mask = np.zeros(self.size, np.bool_)
        mask[[one for one in ids if one < self.size]] = True
        return mask


@lru_cache(maxsize=2)
def _known(
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    stop_ids: frozenset[int],
    silent_ids: frozenset[int],
    size: int,
) -> _Known:
    return _Known(vocabulary(tokenizer, silent_ids), tags_of(template), stop_ids, size)


def tags_of(template: Template) -> tuple[str, ...]:
    """The tags that take a reply apart."""
    return (_THINK, _END_THINK) + ((_ANSWER, _END_ANSWER) if template.answer_tags else ())


def _pending(tags: tuple[bytes, ...], text: bytes) -> bytes:
    """The longest end of `text` that may be the beginning of a tag."""
    if not any(tag[0] in text for tag in tags):  # as is nearly always so
        return b""
    lengths = [n for tag in tags for n in range(1, len(tag)) if text.endswith(tag[:n])]
    return text[len(text) - max(lengths, default=0) :]


class _Part(Protocol):
    """A stretch of a reply. `may_end`: what follows it may begin; `ended`: must."""

    @property
    def may_end(self) -> bool: ...

    @property
    def ended(self) -> bool: ...

    def allowed(self) -> _Mask: ...

    def take(self, token: int) -> None: ...


class _Words:
    """A text word for word, after a few blanks at most."""

    def __init__(self, known: _Known, words: str) -> None:
        self._known, self._words = known, words.encode()
        self._written, self._blanks = b"", 0

    @property
    def may_end(self) -> bool:
        return self.ended

    @property
    def ended(self) -> bool:
        return self._written == self._words

    def allowed(self) -> _Mask:
        allowed = self._known.beginning(self._words, self._written)
        return allowed | self._known.blank if not self._written and self._blanks < _MOST_BLANKS else allowed

    def take(self, token: int) -> None:
        spelled = self._known.tokens.spelled[token]
        self._written += spelled if self._written else spelled.lstrip()
        self._blanks += 1


class _Free:
    """Whatever the model says, up to a tag; whether the reply `ends` before is its own affair, or impossible."""

    def __init__(self, known: _Known, tag: str, ends: bool = False) -> None:
        self._known, self._tag, self._tail = known, tag.encode(), b""
        self._ends = ends
        self.ended = False

    @property
    def may_end(self) -> bool:
        return self.ended

    def allowed(self) -> _Mask:
        allowed = self._known.speaking & ~self._known.beyond(self._tag, self._tail)
        return allowed | self._known.stops if self._ends else allowed

    def take(self, token: int) -> None:
        self._tail += self._known.tokens.spelled[token]
        self.ended = self._tag in self._tail
        self._tail = self._tail[-len(self._tag) :]


class _Written:
    """What a grammar describes, after a few blanks at most."""

    def __init__(self, known: _Known, grammar: str) -> None:
        self._known, self._matcher = known, Matcher(known.tokens, grammar)
        self._tail: bytes | None = None
        self._blanks = 0

    @property
    def may_end(self) -> bool:
        return self._matcher.may_end

    @property
    def ended(self) -> bool:
        return self._matcher.ended

    def allowed(self) -> _Mask:
        allowed = self._matcher.allowed(self._known.size) & ~self._known.completing(self._tail or b"")
        return allowed | self._known.blank if self._tail is None and self._blanks < _MOST_BLANKS else allowed

    def take(self, token: int) -> None:
        spelled = self._known.tokens.spelled[token]
        if self._tail is None and spelled.isspace():
            self._blanks += 1
            return
        self._matcher.take(token)
        self._tail = ((self._tail or b"") + spelled)[-16:]


class Parts:
    """See `Guide`. After the last part only an end may come."""

    def __init__(self, known: _Known, parts: list[_Part]) -> None:
        self._known, self._parts = known, parts

    def allowed(self) -> _Mask:
        """See `Guide.allowed`."""
        if not self._parts:
            return self._known.stops
        here = self._parts[0].allowed()
        if not self._parts[0].may_end:
            return here
        return here | (self._parts[1].allowed() if len(self._parts) > 1 else self._known.stops)

    def take(self, token: int) -> None:
        """See `Guide.take`."""
        if not self._parts:
            return
        part = self._parts[0]
        if part.may_end and not part.allowed()[token]:
            del self._parts[0]
            self.take(token)
            return
        part.take(token)
        if part.ended:
            del self._parts[0]
