"""Sentences, told from answers by their first words, so that they need not be taken apart to be refused.

A text in, the word out at which its reading would stop, or None where that is not plain.
"""

import re
from functools import lru_cache

from ponder.maths.lexer import MAX_TOKENS, tokenize
from ponder.maths.words import EMPTY_SET, FILLERS, REALS, SENSE_CHANGING, number_word

__all__ = ["stopping_word"]

_PLAIN = re.compile(
    r"(?:\*\*)?(?:([A-Za-z]{2,}(?: [A-Za-z]{2,}){0,3})(?:[ ,]|\. |['’]s? ))?"
    r"(?:[A-Za-z0-9 \t.,;'’\"$%*+\-–—−×÷/()?!&=:°\u202f\u00a0]|\\\$)*"
)
"""Signs that change nothing of the words at the beginning."""
_LABEL = re.compile(
    r"[\s*$]*(?:[A-Z]{2,4}|(?:[A-Za-z]{3,}[\s*$]+){0,8}[A-Za-z]{3,})[\s*$]*(?:\([A-Za-z ]*\))?[\s*$]*[=:]"
)
"""What the reader takes for the name of what follows."""
_DIGIT = re.compile(r"\d")
_SPELT = {word for text in EMPTY_SET | REALS for word in text.split()}
"""Words of answers that are spelt in a way of their own, without a digit."""
_PARTS_OF_NUMBERS = frozenset({"half", "negative", "minus"})


def stopping_word(text: str) -> str | None:
    """The word of a sentence at which the reader would stop, as no value begins with it: "Thus" of "Thus he has 7"."""
    match = _PLAIN.fullmatch(text) if len(text) < MAX_TOKENS else None
    if match is None or match[1] is None or _LABEL.match(text):
        return None
    spelt = _DIGIT.search(text) is None
    words: list[str] = match[1].split()
    for place, word in enumerate(words):
        small = word.casefold()
        if spelt and small in _SPELT:
            return None
        if place and small in SENSE_CHANGING and small not in FILLERS and small not in _PARTS_OF_NUMBERS:
            return word  # "The total cost", which is no cosine
        if not _is_only_a_word(word):
            return None
        if small not in FILLERS:
            return word
    return None


@lru_cache(maxsize=4096)
def _is_only_a_word(word: str) -> bool:
    is_number = word.casefold() in _PARTS_OF_NUMBERS or number_word(word) is not None
    return not is_number and tokenize(word)[0].kind in ("word", "separator")
