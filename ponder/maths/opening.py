"""Sentences, told from answers by their first words, so that they need not be taken apart to be refused.

A text in, the word out at which its reading would stop, or None where that is not plain.
"""

import re
from functools import lru_cache

from ponder.maths.lexer import MAX_TOKENS, tokenize
from ponder.maths.words import EMPTY_SET, FILLERS, REALS, number_word

__all__ = ["stopping_word"]

_PLAIN = re.compile(
    r"(?:\*\*)?(?:([A-Za-z]{2,}(?: [A-Za-z]{2,}){0,3})[ ,])?"
    r"(?:[A-Za-z0-9 .,;'’\"$%*+\-–—−×÷/()?!&=:°\u202f\u00a0]|\\\$)*"
)
"""Signs that change nothing of the words at the beginning."""
_LABEL = re.compile(r"[^\d=:]*[=:]")
_SPELT = {word for text in EMPTY_SET | REALS for word in text.split()} | {"half", "negative", "minus"}
"""Words of answers that are spelt in a way of their own."""


def stopping_word(text: str) -> str | None:
    """The word of a sentence at which the reader would stop, as no value begins with it: "Thus" of "Thus he has 7"."""
    match = _PLAIN.fullmatch(text) if len(text) < MAX_TOKENS else None
    if match is None or match[1] is None or _LABEL.match(text):
        return None
    for word in match[1].split():
        if not _is_only_a_word(word):
            return None
        if word.casefold() not in FILLERS:
            return word
    return None


@lru_cache(maxsize=4096)
def _is_only_a_word(word: str) -> bool:
    return word.casefold() not in _SPELT and number_word(word) is None and tokenize(word)[0].kind == "word"
