"""Numbers in words in a sentence: a sentence in, each as digits out, or "" where more belongs to it.

"two hundred and five" is 205, "three and a half" 7/2, "minus one quarter" -1/4; of "twelve squared" nothing is read.
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from ponder.maths.words import number_word

__all__ = ["numerals"]

_UNITS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    "|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "twentieth": 20, "hundredth": 100,
}  # fmt: skip
_SCALE = "|".join(_SCALES)
_PART = rf"(?:{'|'.join(_PARTS)})s?"
_FIRST = rf"(?:(?:{_UNITS})|(?<![a-z-])a(?=[ ](?:{_SCALE})))"
_WHOLE = rf"{_FIRST}(?:(?:[ -]|(?<=hundred|housand|million)[ ]and[ ])(?:{_UNITS}|{_SCALE}))*"
_NUMERAL = re.compile(
    rf"(?:\b(negative|minus)\s+(?:a\s+)?)?\b({_WHOLE})\b(?:(?:\s+and\s+(a|one|two|three|four))?[ -]({_PART})\b)?"
    r"(\s+(?:squared|cubed|dozens?|times|percent|over|divided|plus|minus|point)\b|\s+and\s+an?\b|[-\u2010-\u2013][a-z]|\s+\w+\s+and\s+an?\s+half\b"
    r"|[ -][a-z]+(?:teenths?|ieths?|andths?|ionths?)\b)?"
)
"""In small letters."""
_HALF_A = re.compile(
    r"(?<![a-z])(?<!and )(?<!than )(?<!over )(?<!about )(?<!nearly )(?<!almost )(?<!every )(?<!each )(?<!or )"
    r"(?<!other )half an? (?!dozen|hundred|thousand|million|billion|century|decade|as\b)(?=[a-z])"
)
"""Half of one thing, in small letters: "half a pizza"."""
_IN_EACH = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "zero", "eleven", "twel", "thir",
    "fif", "twen", "fort", "a hundred", "a thousand", "a million", "a billion",
)  # fmt: skip
"""One of them is in every numeral."""


def numerals(sentence: str) -> Iterator[str]:
    """The numbers in words of a sentence, in their order."""
    small = sentence.lower()
    if "half a" in small:
        small = _HALF_A.sub("one half ", small)
    for match in _NUMERAL.finditer(small) if any(map(small.__contains__, _IN_EACH)) else ():
        sign, whole, top, part, more = match.groups()
        value = _value(whole)
        if more or value is None:
            yield ""
            continue
        if part:
            below = _PARTS.get(part) or _PARTS[part.removesuffix("s")]
            above = number_word(top) if top and top != "a" else Fraction(1)
            if above is None:
                yield ""
                continue
            value = value + above / below if top else value / below
        yield f"{'-' if sign else ''}{value}"


def _value(words: str) -> Fraction | None:
    total, current = Fraction(0), Fraction(0)
    last = 10**12
    for word in re.findall(r"[a-z]+", words):
        scale = _SCALES.get(word)
        if word == "and":
            continue
        if scale is None:
            number = Fraction(1) if word == "a" else number_word(word)
            if number is None or (current % 100 and not (current % 100 >= 20 and current % 10 == 0 and number < 10)):
                return None
            current += number
        elif scale == 100:
            current = (current or Fraction(1)) * 100
        elif scale < last:
            total, current, last = total + (current or Fraction(1)) * scale, Fraction(0), scale
        else:
            return None
    return total + current
