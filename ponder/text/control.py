"""Text that people wrote never becomes control tokens.

    contents -> guard -> contents with private characters for what spells a control token or a tag
             -> template -> text -> encode -> ids: the template's control tokens are real, the users' are ordinary text

The guarded contents go through a template, which so cannot take them for its own marks either. Encoding is that of the
whole text in one piece, as the tokenizer does it, so that no merge, prefix space or normalisation at a border changes.
Where somebody did write a control token, a twin of the tokenizer reads the text: it is the same but that its control
tokens are spelt as private characters, which stand in the text at the template's own places and nowhere else.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any

from ponder.errors import DataError, ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

__all__ = ["TAGS", "Control", "Guarded", "chat_source", "control_of"]

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_TOOL_TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Marks of ponder's form of calls and results, where a tokenizer has tokens for them."""
_MARKED = re.compile(r"[<\[]/?[|\uff5c].*[|\uff5c]/?[>\]]", re.DOTALL)
"""How control tokens look that tokenizers do not declare as special."""
_BRACKETED = re.compile(r"[<\[{(\u25c1].*[>\]})\u25b7]", re.DOTALL)
_PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))
"""The supplementary planes of characters for private use."""
_KEPT = 8
"""Twins and tables of tokenizers in memory."""
Span = tuple[int, int, int | None]
"""From where to where something stands in a text, and the id of the control token that it is, if it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """Texts with a private character in place of each spelling in `spellings`. `typed` says whether one of those is a
    control token to the tokenizer, `edges` whether one is a part of such a token, at an edge of a text, which what
    stands beside it may make whole."""

    texts: tuple[str, ...]
    spellings: Mapping[str, str]
    typed: bool
    edges: bool

    def restore(self, text: str) -> str:
        """The spellings back in their places."""
        for private, spelling in self.spellings.items():
            text = text.replace(private, spelling)
        return text


@dataclass(frozen=True, eq=False, kw_only=True)
class Control:
    """The control tokens of a tokenizer, `ids` by spelling: those declared special, those its chat template or ponder's
    templates write, and those that look like one. Other added tokens (runs of blanks, words) are ordinary text."""

    tokenizer: "PreTrainedTokenizerBase"
    ids: Mapping[str, int]
    spoken: frozenset[str]
    """Those a model writes within a reply: tags, marks of a call of a tool. The others stand between turns."""
    normalized: bool
    """Whether one of them is looked for in normalised text."""

    def guard(self, texts: Sequence[str], replies: Sequence[bool]) -> Guarded:
        """The texts with every control token and tag in them guarded; in replies of the model but for what it writes
        there itself, which must be learnt as the tokens that it samples."""
        found = [self._spelt(text, reply) for text, reply in zip(texts, replies, strict=True)]
        edges = [self._edges(text, spans) for text, spans in zip(texts, found, strict=True)]
        found = [_ordered(spans + more) for spans, more in zip(found, edges, strict=True)]
        spellings = list(
            dict.fromkeys(text[a:b] for text, spans in zip(texts, found, strict=True) for a, b, _ in spans)
        )
        private = dict(zip(spellings, _private("".join(texts), len(spellings)), strict=True))
        return Guarded(
            texts=tuple(
                _replaced(text, [(a, b, private[text[a:b]]) for a, b, _ in spans])
                for text, spans in zip(texts, found, strict=True)
            ),
            spellings={char: spelling for spelling, char in private.items()},
            typed=any(token is not None for spans in found for _, _, token in spans),
            edges=any(edges),
        )

    def encode(self, text: str, guarded: Guarded) -> list[int]:
        """The ids of a text in which guarded ones stand, without begin and end token."""
        plain = guarded.restore(text)
        if not guarded.typed and not (guarded.edges and self._tokens(plain) - self._tokens(text)):
            return list(self.tokenizer.encode(plain, add_special_tokens=False))
        if not self.tokenizer.is_fast:
            raise DataError(
                f"A text spells control tokens ({', '.join(map(repr, guarded.spellings.values()))}), and a tokenizer "
                f"of the kind {type(self.tokenizer).__name__} cannot read them as ordinary text. Leave them out of the "
                f"data, or put a tokenizer.json into the model's folder."
            )
        own = self._read(text)
        twin = _twin(self, _free_block(plain, len(self.ids)))
        marked = _replaced(text, [(a, b, twin.spellings[token]) for a, b, token in own])
        ids = twin.encode(guarded.restore(marked))
        known, expected = set(self.ids.values()) - {self.tokenizer.unk_token_id}, [token for _, _, token in own]
        if [token for token in ids if token in known] != [token for token in expected if token in known]:
            raise ModelError(
                f"The tokenizer reads {plain[:200]!r} with other control tokens than those its template wrote, so that "
                f"text typed by users would steer the model. Leave such text out of the data."
            )
        return ids

    def first(self, text: str) -> int | None:
        """The control token with which a text begins, blanks aside."""
        return next((token for start, _, token in self._read(text.lstrip()) if start == 0), None)

    def _spelt(self, text: str, reply: bool) -> list[Span]:
        """Where control tokens (with their id) and tags stand that are to be guarded."""
        spans: list[Span] = [
            span for span in self._read(text) if not (reply and text[span[0] : span[1]] in self.spoken)
        ]
        if not reply:
            blanked = _replaced(text, [(start, end, " " * (end - start)) for start, end, _ in spans])
            spans += [(*found.span(), None) for found in _TAG.finditer(blanked)]
        return _ordered(spans)

    def _edges(self, text: str, spans: Sequence[Span]) -> list[Span]:
        """Where, outside the spans, a text begins with the end of a control token or ends with the beginning of one, or
        lies within one; blanks aside, which templates take away."""
        first, last = (spans[0][0], spans[-1][1]) if spans else (len(text), 0)
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
        if not spans and 0 < end - start < self._longest:
            whole = text[start:end]
            if any(whole in spelling for spelling in self.ids):
                return [(start, end, None)]
        lengths = range(self._longest - 1, 0, -1)
        head = next((n for n in lengths if start + n <= first and text[start : start + n] in self._ends), 0)
        tail = next(
            (n for n in lengths if end - n >= max(last, start + head) and text[end - n : end] in self._beginnings), 0
        )
        return [(a, b, None) for a, b in ((start, start + head), (end - tail, end)) if a < b]

    def _tokens(self, text: str) -> Counter[int]:
        return Counter(token for _, _, token in self._read(text))

    def _read(self, text: str) -> list[tuple[int, int, int]]:
        """Where the tokenizer reads control tokens in a text, and which."""
        tokenizer = self.tokenizer
        if not tokenizer.is_fast:
            found = self._pattern.finditer(text)
            return [(*one.span(), self.ids[one[0]]) for one in found if one[0] in self.ids]
        if not self._may_hold(text):
            return []
        encoded: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spellings = {token: spelling for spelling, token in self.ids.items()}
        spans = []
        for token, (start, end) in zip(encoded.input_ids, encoded.offset_mapping, strict=True):
            if token not in spellings:
                continue
            place = text.find(spellings[token], start, end)
            if place >= 0:
                start, end = place, place + len(spellings[token])
            elif token == tokenizer.unk_token_id:
                continue  # a character it does not know
            else:  # spelt otherwise before it is normalised
                blanks = len(text[start:end]) - len(text[start:end].lstrip())
                start, end = start + blanks, start + len(text[start:end].rstrip())
            spans.append((start, end, token))
        return spans

    def _may_hold(self, text: str) -> bool:
        """Whether a control token can stand in a text: most texts hold none, and need no tokens to say so."""
        if any(head in text for head in self._heads) and self._pattern.search(text):
            return True
        tokenizer: Any = self.tokenizer
        normalizer = tokenizer.backend_tokenizer.normalizer if self.normalized else None
        return normalizer is not None and self._pattern.search(normalizer.normalize_str(text)) is not None

    @cached_property
    def _heads(self) -> frozenset[str]:
        """The first characters of control tokens: most texts hold none of these, which is known at once."""
        return frozenset(spelling[:2] for spelling in self.ids)

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.ids), default=0)

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(spelling[:length] for spelling in self.ids for length in range(1, len(spelling)))

    @cached_property
    def _ends(self) -> frozenset[str]:
        return frozenset(spelling[length:] for spelling in self.ids for length in range(1, len(spelling)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.ids, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Twin:
    tokenizer: "Tokenizer"
    spellings: Mapping[int, str]
    """The private character of each control token."""
    renumbered: Mapping[int, int]

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return [self.renumbered.get(token, token) for token in ids]


def chat_source(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text of a tokenizer's chat templates, "" where it has none."""
    source: Any = tokenizer.chat_template
    if isinstance(source, dict):
        return "\n".join(map(str, source.values()))
    if source is not None and not isinstance(source, str):
        raise ModelError(
            f"The tokenizer's chat template is {source!r:.80}; expected a text, or several by name. Mend "
            f"`chat_template` in the model's tokenizer_config.json."
        )
    return source or ""


def control_of(tokenizer: "PreTrainedTokenizerBase", template_tokens: tuple[str, ...]) -> Control:
    """The control tokens of a tokenizer under a template that writes `template_tokens`."""
    return _control(tokenizer, len(tokenizer), chat_source(tokenizer), template_tokens)


@lru_cache(maxsize=_KEPT)
def _control(tokenizer: Any, size: int, source: str, template_tokens: tuple[str, ...]) -> Control:
    ids, spoken, normalized = {}, set(TAGS), False
    folded = _folded(tokenizer)
    for token, added in tokenizer.added_tokens_decoder.items():
        spelling = added.content
        between = added.special or spelling in template_tokens or _MARKED.fullmatch(spelling)
        named = spelling in (*TAGS, *_TOOL_TAGS) or (spelling in source and _BRACKETED.fullmatch(spelling))
        if spelling.strip() and (between or named):
            ids[spelling] = token
            normalized |= added.normalized or spelling in folded
            if not between:
                spoken.add(spelling)
    return Control(tokenizer=tokenizer, ids=ids, spoken=frozenset(spoken), normalized=normalized)


def _folded(tokenizer: Any) -> frozenset[str]:
    """The pieces of the tokenizer's own vocabulary that other signs become when they are normalised: full-width ones
    as the ordinary ones. What looks like no added token would be made one by the pieces."""
    normalizer = tokenizer.backend_tokenizer.normalizer if tokenizer.is_fast else None
    if normalizer is None or "<" not in normalizer.normalize_str("\uff1c"):
        return frozenset()
    return frozenset(tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False))


_TAG = re.compile("|".join(TAGS))


def _replaced(text: str, spans: Sequence[tuple[int, int, str]]) -> str:
    pieces, position = [], 0
    for start, end, new in spans:
        pieces += [text[position:start], new]
        position = end
    return "".join((*pieces, text[position:]))


def _ordered(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: span[0])


def _private(text: str, number: int) -> list[str]:
    """Private characters that the text does not hold."""
    taken = set(text)
    free = (chr(code) for block in _PRIVATE for code in block if chr(code) not in taken)
    return [char for char, _ in zip(free, range(number), strict=False)]


def _free_block(text: str, number: int) -> int:
    """Where `number` private characters in a row begin of which the text holds none."""
    taken = {ord(char) for char in text if ord(char) >= _PRIVATE[0].start}
    for block in reversed(_PRIVATE):
        for start in range(block.start, block.stop - number, max(number, 1)):
            if taken.isdisjoint(range(start, start + number)):
                return start
    raise DataError(
        f"A text of {len(text):,} characters holds private characters of every block that ponder could mark control "
        f"tokens with. Leave it out of the data."
    )


@lru_cache(maxsize=_KEPT)
def _twin(control: Control, first: int) -> _Twin:
    from tokenizers import Tokenizer

    tokenizer: Any = control.tokenizer
    form = json.loads(tokenizer.backend_tokenizer.to_str())
    renamed = {spelling: chr(code) for spelling, code in zip(control.ids, count(first), strict=False)}
    form |= {"post_processor": None, "truncation": None, "padding": None}
    numbers = {}
    for token in form["added_tokens"]:
        token["content"] = renamed.get(token["content"], token["content"])
        numbers[token["content"]] = token["id"]
    _rename(form["model"], renamed, numbers)
    twin = Tokenizer.from_str(json.dumps(form))
    twin.encode_special_tokens = tokenizer.backend_tokenizer.encode_special_tokens
    known = twin.get_vocab(with_added_tokens=True)
    return _Twin(
        tokenizer=twin,
        spellings={control.ids[spelling]: char for spelling, char in renamed.items()},
        renumbered={known[content]: number for content, number in numbers.items()},
    )


def _rename(model: dict[str, Any], renamed: Mapping[str, str], numbers: Mapping[str, int]) -> None:
    """A model that cannot put a control token together from ordinary text."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):  # of (piece, score), in the order of the ids
        model["vocab"] = [[renamed.get(piece, piece), score] for piece, score in vocabulary]
        return
    for spelling in renamed:
        vocabulary.pop(spelling, None)
    for content, number in numbers.items():
        vocabulary[content] = number
    if model.get("unk_token") in renamed:
        model["unk_token"] = renamed[model["unk_token"]]
    if "merges" in model:
        pairs = [pair if isinstance(pair, list) else pair.split(" ", 1) for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if renamed.keys().isdisjoint((*pair, "".join(pair)))]
