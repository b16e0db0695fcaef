"""Whether a text only repeats what the prompt says by itself: a template's words, or the example of the form in them.

R1-Zero's prompt shows the form by an example, and a model that copies the example has the form without a thought.
"""

import re
from collections.abc import Sequence

__all__ = ["examples_in", "is_copy", "words_of"]

_WORD = re.compile(r"\w+")
_BLOCK = re.compile(r"<(think|answer)>(.*?)</\1>", re.DOTALL)
_FEWEST = 2
"""A single word that the template has, too, may be somebody's own."""


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text without case, signs and blanks."""
    return tuple(_WORD.findall(text.casefold()))


def examples_in(text: str) -> dict[str, tuple[str, ...]]:
    """The words between tags in a template's own text, by tag. Example: {"think": ("reasoning", "process", "here")}."""
    return {tag: words for tag, inner in _BLOCK.findall(text) if (words := words_of(inner))}


def is_copy(text: str, example: Sequence[str] | None, own: Sequence[str] = ()) -> bool:
    """Whether `text` is nothing but the example, once or over and over, or a piece of at least two words of `own`."""
    words = words_of(text)
    if not words:
        return False
    if example and words == tuple(example[place % len(example)] for place in range(len(words))):
        return len(words) >= len(example)
    pieces = (tuple(own[start : start + len(words)]) for start in range(len(own) - len(words) + 1))
    return len(words) >= _FEWEST and words in pieces
