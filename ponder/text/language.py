"""How much of a thought is in one language: the paper's language consistency (Nature eq. 7),
words of the target language / words.

What is a word is not stated there; here it goes by script. Each Chinese character is a word (no segmentation), each
run of Latin letters of at least two is one (`don't` too), and so is each run of letters of any other script, which
belongs to neither language. Not words: digits, single Latin letters (variables), anything with a digit or underscore
in it, function names of mathematics, LaTeX, code, tags and addresses.
"""

import re
import unicodedata

from ponder.records import Language

__all__ = ["language_share"]

_LEFT_OUT = re.compile(
    r"```.*?(?:```|\Z)"  # fenced code, also when it is cut
    r"|`[^`\n]*`"
    r"|https?://[^\s一-鿿]+"
    r"|\$\$[^$]*\$\$"
    r"|\$(?![\s$])[^$\n]*(?<!\s)\$(?!\d)"  # "$5 and $6" is money
    r"|\\\[(?:(?!\\\[).)*?\\\]"
    r"|\\\((?:(?!\\\().)*?\\\)"
    r"|\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}"
    r"|</?[A-Za-z][\w-]*\s*/?>",
    re.DOTALL,
)
_COMMAND = re.compile(r"\\[A-Za-z]+\*?(?:\{[^{}]*\})*")
_MAX_NESTING = 4
_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_LATIN = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_WORD = re.compile(
    rf"(?P<name>[{_LATIN}_]*[0-9_][{_LATIN}0-9_]*)"
    rf"|(?P<zh>[{_HAN}])"
    rf"|(?P<en>[{_LATIN}]+(?:['’][{_LATIN}]+)*)"
    rf"|(?P<other>(?:(?![{_HAN}{_LATIN}])[^\W\d_])+)"
)
_MATHS = frozenset(
    ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log", "ln", "lg",
     "exp", "gcd", "lcm", "mod", "det", "deg", "dim", "ker", "sqrt", "frac", "max", "min", "lim", "sup", "inf", "sgn",
     "arg", "abs", "floor", "ceil")
)  # fmt: skip


def language_share(text: str, language: Language) -> float | None:
    """Share of the words of `text` that are in `language`, from 0 to 1; None where there are no words."""
    counts = {"en": 0, "zh": 0, "other": 0}
    for match in _WORD.finditer(_prose(text)):
        kind = match.lastgroup
        if kind == "name" or (kind == "en" and (len(match.group()) == 1 or match.group().lower() in _MATHS)):
            continue
        assert kind is not None
        counts[kind] += 1
    total = sum(counts.values())
    return counts[language] / total if total else None


def _prose(text: str) -> str:
    """`text` without mathematics, code and tags, and with full-width letters made plain."""
    text = unicodedata.normalize("NFKC", text)
    for pattern in (_LEFT_OUT, _COMMAND):  # inner parts first, then what stood around them
        for _ in range(_MAX_NESTING):
            text, found = pattern.subn(" ", text)
            if not found:
                break
    return text
