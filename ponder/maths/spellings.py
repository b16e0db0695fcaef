"""Answers with a spelling of their own: numbers in words, times of day, names of sets, letters. A cleaned text in, its
tree out, or None where it is none of these.
"""

import re
from fractions import Fraction

from ponder.maths.notation import text_key
from ponder.maths.statements import REAL_LINE
from ponder.maths.tree import Apply, Bracket, Many, Number, Ratio, Symbol, Text, Tree
from ponder.maths.words import CHINESE_SENSE, EMPTY_SET, REALS, chinese_number, number_word

__all__ = ["special"]

_TO_RATIO = re.compile(r"(\d{1,9}) to (\d{1,9})")
_OUT_OF = re.compile(r"(\d{1,9}) (?:in|out of) (\d{1,9})")
_AMONG_DIGITS = re.compile(r" to | in | out |:")
"""In what is spelt in its own way and begins with a digit."""
_LETTERS = re.compile(r"\\text\s*\{\s*(\(?[A-Z]\)?(?:\s*(?:,|and|,\s*and)\s*\(?[A-Z]\)?)+)\s*\}")
_LETTER = re.compile(r"\\text\s*\{\s*\(?([A-Za-z])\)?\s*\}")
_CLOCK = re.compile(
    r"(?:\\text\s*\{\s*)?(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:\\text\s*\{)?\s*([ap]\.?\s?m\.?)?\s*\}?", re.IGNORECASE
)
_DIGITS = "[零〇一二两三四五六七八九十百千万亿]+"
_CHINESE_COUNT = re.compile(
    rf"(负?)({_DIGITS}(?:点{_DIGITS}|(?:又{_DIGITS})?分之{_DIGITS}(?:点{_DIGITS})?)?)([\u3400-\u9fff]{{0,4}})"
)


def special(cleaned: str) -> Tree | None:
    """The tree of an answer that is spelt in its own way."""
    if "0" <= cleaned[0] <= "9" and _AMONG_DIGITS.search(cleaned) is None:
        return None
    key = text_key(cleaned)
    if key in EMPTY_SET:
        return Bracket("\\{", "\\}", ())
    if key in REALS:
        return REAL_LINE
    letters = _LETTERS.fullmatch(cleaned)
    if letters is not None:
        return Many(tuple(Symbol(name) for name in re.findall(r"[A-Z]", letters[1].replace("and", ""))))
    letter = _LETTER.fullmatch(cleaned)
    if letter is not None:
        return Symbol(letter[1])
    number = Fraction(1, 2) if key == "half" else number_word(key)
    if number is None:
        chinese = _CHINESE_COUNT.fullmatch(key)
        number = chinese_number(chinese[2]) if chinese and not set(chinese[3]) & CHINESE_SENSE else None
        number = -number if number is not None and chinese and chinese[1] else number
    if number is not None:
        return Number(number)
    ratio = _TO_RATIO.fullmatch(cleaned)
    if ratio is not None:
        return Ratio(tuple(Number(Fraction(int(n))) for n in ratio.groups()))
    share = _OUT_OF.fullmatch(cleaned)
    if share is not None and int(share[1]) <= int(share[2]):
        return Apply("/", (Number(Fraction(int(share[1]))), Number(Fraction(int(share[2])))))
    clock = _CLOCK.fullmatch(cleaned)
    if clock and (clock[4] or clock[2][0] == "0" or clock[3]) and int(clock[1]) < 25 and int(clock[2]) < 60:
        numbers = [Number(Fraction(int(g))) for g in clock.groups()[:3] if g]
        half = [Text((clock[4] or "").lower().replace(".", "").replace(" ", ""))] if clock[4] else []
        return Ratio((*numbers, *half), clock=True)
    return None
