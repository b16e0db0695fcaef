"""Words that mean something in an answer: numbers in English and Chinese, multipliers, connectives, fillers."""

from fractions import Fraction

__all__ = [
    "CHINESE_SENSE",
    "CONNECTIVES",
    "EMPTY_SET",
    "FILLERS",
    "MULTIPLIERS",
    "REALS",
    "SENSE_CHANGING",
    "chinese_number",
    "number_word",
]

_SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_ROUND_NUMBERS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = _SMALL_NUMBERS.split()
_TENS = _ROUND_NUMBERS.split()
_NUMBERS = {word: n for n, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}

MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "百": 10**2, "千": 10**3, "万": 10**4, "十万": 10**5, "百万": 10**6, "千万": 10**7, "亿": 10**8, "万亿": 10**12,
}  # fmt: skip
"""Words that multiply the number before them."""

CONNECTIVES = frozenset({"and", "or", "和", "或", "或者", "以及", "及", "与"})
"""Words between answers of which there are several."""

_FILLER_WORDS = (
    "about approximately roughly around exactly only just is are equals equal be the total of a an answer value "
    "约 大约 约为 是 为 等于 共 一共 共有 总共 第"
)
FILLERS = frozenset(_FILLER_WORDS.split())
"""Words before an answer that do not change it."""

_SENSE_CHANGING_WORDS = (
    "or and not no if when unless except but than least most more less between plus minus times half twice double "
    "all none every neither nor either maybe half quarter third over divided hundred thousand million billion trillion "
    "dozen where with without for otherwise halves thirds quarters fourths fifths sixths eighths tenths squared cubed "
    "factorial wrong incorrect false below above short off under choose mod remainder base power vs versus "
    "is are was were be has have had will can should needed cost costs fails fail failed makes make leaves gives "
    "works work nope never rejected extraneous too contradiction impossible typo digit digits sided pack prime tenths "
    "hundredths thousandths ish odd doubled tripled halved increased decreased reduced multiplied raised "
    "january february march april may june july august september october november december"
)
SENSE_CHANGING = frozenset(_SENSE_CHANGING_WORDS.split())
"""Words that may not be passed over after a number, since the answer means something else with them."""

CHINESE_SENSE = frozenset("或不至到半倍无没非方又上下多余之")
"""Characters that may not be passed over after a number either."""

EMPTY_SET = frozenset(
    {"no solution", "no solutions", "none", "no real solution", "no real solutions", "empty set", "the empty set",
     "there is no solution", "does not exist", "dne", "无解", "空集", "不存在"}
)  # fmt: skip
"""Answers that say that there is none; `check` and comparison treat those about solutions alike."""

REALS = frozenset(
    {
        "all real numbers",
        "all reals",
        "all real",
        "any real number",
        "the real numbers",
        "real numbers",
        "全体实数",
        "任意实数",
    }
)
"""Names of the real line."""

_CHINESE_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_CHINESE_UNITS = {"十": 10, "百": 100, "千": 1000}
_CHINESE_GROUPS = {"万": 10**4, "亿": 10**8}


def number_word(text: str) -> Fraction | None:
    """The value of "seven", "forty-two"; None for other words."""
    parts = text.casefold().replace("-", " ").split()
    if len(parts) == 1 and parts[0] in _NUMBERS:
        return Fraction(_NUMBERS[parts[0]])
    if len(parts) == 2 and parts[0] in _TENS and _NUMBERS.get(parts[1], 0) in range(1, 10):
        return Fraction(_NUMBERS[parts[0]] + _NUMBERS[parts[1]])
    return None


def chinese_number(text: str) -> Fraction | None:
    """The value of "二十八", "三千零五", "百分之五", "四分之三", "二又三分之一", "三点五"; None for other words."""
    if not text or len(text) > 20:
        return None
    whole, both, part = text.rpartition("又")
    bottom, fraction, top = part.partition("分之")
    if fraction:
        before = _chinese_whole(whole) if both else 0
        below = 100 if bottom == "百" else _chinese_whole(bottom)
        above = chinese_number(top) if "分之" not in top and "又" not in top else None
        return None if before is None or not below or above is None else before + above / below
    ones, point, digits = text.partition("点")
    if point:
        before = _chinese_whole(ones)
        after = [_CHINESE_DIGITS.get(c) for c in digits]
        if before is None or not after or "两" in digits or any(d is None for d in after):
            return None
        return before + Fraction(int("".join(map(str, after))), 10 ** len(after))
    value = _chinese_whole(text)
    return None if value is None else Fraction(value)


def _chinese_whole(text: str) -> int | None:
    if not text:
        return None
    total = section = digit = 0
    previous_unit = 10**9
    for character in text:
        if character in _CHINESE_DIGITS:
            if digit:
                return None
            digit = _CHINESE_DIGITS[character]
            previous_unit = 10**9 if digit == 0 else previous_unit
        elif character in _CHINESE_UNITS:
            unit = _CHINESE_UNITS[character]
            if unit >= previous_unit:
                return None
            section += (digit or 1) * unit
            digit, previous_unit = 0, unit
        elif character in _CHINESE_GROUPS:
            group = _CHINESE_GROUPS[character]
            if group == 10**8:  # 亿 counts all before it, 万 only what stands since
                total = (total + section + digit) * group
            else:
                total += (section + digit) * group
            section = digit = 0
            previous_unit = 10**9
        else:
            return None
    return total + section + digit
