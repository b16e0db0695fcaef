"""How a tokenizer splits text before it merges bytes, and which of llama.cpp's splitters that is.

llama.cpp has its splitters written down and finds one by a name in the file; a file with a wrong name is tokenised
wrongly without a word. So a splitter counts as known when it cuts every one of some thousand hard texts as llama.cpp's
does, whatever the tokenizer calls it.
"""

import random
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from tokenizers import Regex, pre_tokenizers

__all__ = ["SPLITTERS", "hard_texts", "splitter_name"]

_ENDINGS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS_AND_SIGNS = rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|NUMBERS| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_WITH_MARKS = (
    rf"{_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DEEPSEEK = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!-/:-~&&[^A-Za-z]][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|" + _SPACES,
)

SPLITTERS: Mapping[str, tuple[str, ...]] = {
    "qwen2": (_WORDS_AND_SIGNS.replace("NUMBERS", r"\p{N}"),),
    "llama-bpe": (_WORDS_AND_SIGNS.replace("NUMBERS", r"\p{N}{1,3}"),),
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "deepseek-v3": _DEEPSEEK,
    "qwen35": (_WITH_MARKS,),
}
"""The name that llama.cpp knows a splitter by, and the expressions that cut one after the other."""
_WHOLE_WORDS = ("llama-bpe",)
"""Where llama.cpp takes a whole piece that the vocabulary has, without merging."""
_ATOMS = (
    *"aBz\u00e9\u00df\u00d1\u03a9\u0434\u4e2d\u6587\u7532\u306e\u30ab\u0627\u05d0\u0e01\ud55c",
    *"0157\u00b2\u00bd\u2167\u0663",
    *"'\".,!?;:-_/\\()[]{}<>=+*&^%$#@`|~\u20ac\u2014\u3002\u300c",
    *(" ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00a0", "\u3000", "\u200b", "\u200d"),
    *(
        "'s",
        "'LL",
        "'Ve",
        "\u2019t",
        "e\u0301",
        "\u0939\u093f",
        "\U0001f600",
        "\U0001d400",
        "\U0001f468\u200d\U0001f4bb",
    ),
    *("word", "Word", "WORD", "123", "4567", "2024", "x1", "</", "...", "://", "\u4e8c\u52a0\u4e09"),
)
_TEXTS, _LONGEST = 4000, 12


def splitter_name(tokenizer: Any) -> str | None:
    """llama.cpp's name of what the tokenizer (of the library tokenizers) does before merging; None where it knows none.
    Text is looked at in the form in which characters are composed (NFC), into which some tokenizers bring it first."""
    own = tokenizer.pre_tokenizer
    if own is None or (tokenizer.normalizer is not None and any(_normalized(tokenizer, one) for one in hard_texts())):
        return None
    cut = [_pieces(own, text) for text in hard_texts()]
    for name in SPLITTERS:
        whole = bool(tokenizer.model.ignore_merges)
        if whole == (name in _WHOLE_WORDS) and all(
            _pieces(_known(name), text) == pieces for text, pieces in zip(hard_texts(), cut, strict=True)
        ):
            return name
    return None


def _normalized(tokenizer: Any, text: str) -> bool:
    changed: bool = tokenizer.normalizer.normalize_str(text) != text
    return changed


def _pieces(splitter: Any, text: str) -> list[str]:
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


@cache
def _known(name: str) -> Any:
    cuts = [pre_tokenizers.Split(Regex(one), "isolated") for one in SPLITTERS[name]]
    return pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


@cache
def hard_texts() -> tuple[str, ...]:
    """Single atoms, and atoms in a row."""
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", one) for one in (*_ATOMS, *_mixed())))


def _mixed() -> Iterator[str]:
    drawn = random.Random(0)
    for _ in range(_TEXTS):
        yield "".join(drawn.choices(_ATOMS, k=drawn.randint(2, _LONGEST)))
