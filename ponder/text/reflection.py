"""Words by which a thought turns on itself: the paper's ten (Nature, extended data figure 1) and their Chinese
counterparts. The length-free measure made from them is reflection words per 1,000 tokens."""

import re
from collections.abc import Iterator, Mapping

from ponder.records import Language

__all__ = ["REFLECTION_PATTERN", "REFLECTION_WORDS", "count_reflection", "find_reflection"]

REFLECTION_WORDS: Mapping[Language, tuple[str, ...]] = {
    "en": ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check"),
    "zh": (
        "等等", "等一下", "稍等",  # wait
        "错误", "错", "失误", "不对",  # mistake, error, wrong
        "但是", "但", "不过", "然而", "可是",  # but, however
        "重新", "再试", "重试", "重来",  # retry
        "验证", "核实", "核对", "验算",  # verify
        "检查", "检验",  # check
        "评估",  # evaluate
    ),
}  # fmt: skip
"""English words are the paper's. The Chinese list is ours: one or more words for each of them."""

_NOT_AFTER: Mapping[str, str] = {
    "错": "不没",  # "not bad", "that is right"
    "不对": "对",  # "right or not"
    "但": "不非",  # "not only"
    "不过": "只",  # "merely"
    # At the end of a list 等等 is "and so on": it counts where a clause starts, or after another such word.
    "等等": "一-鿿、0-9A-Za-z",
}
_TURN = "(?<=[但是过哦啊嗯呃])"


def _chinese(word: str) -> str:
    barred = f"(?<![{_NOT_AFTER[word]}])" if word in _NOT_AFTER else ""
    return f"(?:{barred}|{_TURN}){word}" if word == "等等" else barred + word


_ENGLISH = "|".join(REFLECTION_WORDS["en"])
_CHINESE = "|".join(map(_chinese, sorted(REFLECTION_WORDS["zh"], key=len, reverse=True)))
REFLECTION_PATTERN = rf"(?<![A-Za-z0-9_])(?:{_ENGLISH})(?![A-Za-z0-9_])|{_CHINESE}"
"""Of any case. JavaScript reads it, too: the chat page marks the same words."""
_COMPILED = re.compile(REFLECTION_PATTERN, re.IGNORECASE)


def find_reflection(text: str) -> Iterator[re.Match[str]]:
    """The reflection words of either language in `text`: whole words in English, whatever their case; in Chinese,
    which has no spaces, every occurrence, the longest word first, without those with another meaning (`没错`, `不但`,
    `只不过`, `等等` after a list)."""
    return _COMPILED.finditer(text)


def count_reflection(text: str) -> int:
    """How many reflection words `find_reflection` finds."""
    return sum(1 for _ in find_reflection(text))
