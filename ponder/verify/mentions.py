"""The mentions of a sentence: whole terms with what belongs to them. A sentence in, mentions out.

A mention is a term with its sign, currency, unit and the terms it is joined to, so that a piece of a larger term is
never seen; of an equation it is the last side. A list ("3, 5 and 7", "4 or 5") is one mention.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from ponder.maths.units import read_unit
from ponder.maths.words import MULTIPLIERS
from ponder.verify.doubts import is_bounded, may_end, words_before
from ponder.verify.sums import worked_out

__all__ = ["Mention", "are_two_names", "mention_key", "mentions", "numbers_in", "works_out"]

_MAX_SENTENCE_CHARS = 1_500
_MAX_DIGITS = 100
_DENIAL_CHARS = 40
"""Before a number; longer than the longest of `_DENIED`."""
_WIDE = str.maketrans("（）∶", "():")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,]*\d)(?:\.\d+)?|\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+(?!\d)|\d+(?:\.\d+)?|\.\d+"
_NUMBERS = re.compile(_NUMBER)
_RUN = re.compile(r"[\d.][\d., \u00a0\u2009\u202f]*")
"""Where numbers may stand, which is found much quicker than they are."""
_AFTER_A_NUMBER = "., \u00a0\u2009\u202f"
_FUNCTIONS = "sqrt|cbrt|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|lcm|gcd|max|min|pi|theta"
_PIECE = re.compile(
    rf"""(?P<words>(?<!\d)(?:(?!(?:{_FUNCTIONS})[ ,])[A-Za-z]{{2,}},?[ ]+(?:a[ ]+(?=[A-Za-z]{{2}}))?)+)
    |(?P<math>\$\$[^$]*\$\$|\\\((?:[^\\]|\\(?!\)))*\\\)|\\\[(?:[^\\]|\\(?!\]))*\\\]
        |(?<![\\$])\$[ ](?=\\[a-z])[^$\n]*\$(?!\d)
        |(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<![\s\\])\$(?![\d$]))
    |(?P<money>(?:\\\$|\\\(\\\$\\\)|US\$|[$€£¥])[ ]?(?=[\d.]))
    |(?P<number>(?<![A-Za-z])(?:{_NUMBER})(?:[eE][+-]?\d+)?)
    |(?P<function>(?<![A-Za-z])(?:{_FUNCTIONS})(?![A-Za-z]))
    |(?P<word>[A-Za-zÀ-ÖØ-öø-ÿ]+(?:['’][A-Za-z]+)?\.?(?:[A-Za-z]\.)?|[\u3400-\u9fff])
    |(?P<command>\\[A-Za-z]+(?:\s*\{{[^{{}}]*\}})*)
    |(?P<bold>(?<!\d)\*\*|\*\*(?!\d))
    |(?P<equals>=|≈|≃|\\approx|→|=>|⇒)
    |(?P<operator>[-−–—+×✕*·⋅÷/^_%°√∛π∞<>≤≥≠!|±′½⅓⅔¼¾⅕⅛²³⁴]|(?<=\d)(?::|[ ]:[ ])(?=\d)|[()\[\]{{}}])
    |(?P<comma>[,，;；、])
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_IN_A_CHUNK = frozenset({"math", "money", "number", "function", "command", "equals", "operator"})
_TEXT_GROUP = re.compile(r"\\(?:text|mathrm|textbf|mbox|operatorname)\s*\{[^{}]*\}")
_DENIED = re.compile(
    r"(?:\b(?:(?:can't|cannot|can not|couldn't|won't) be|not|n['’]est pas|no es|non è|não é|nicht"
    r"|never|isn't|wasn't|aren't|instead of|rather than|unlike|than|nor|neither)\s+(?:just\s+|only\s+)?"
    r"|不是|不等于|不为|并非|不可能是|不会是|should not be|shouldn't be)\s*$",
    re.IGNORECASE,
)
_FROM = re.compile(r"\bfrom\s+$", re.IGNORECASE)
_DENIALS = (
    "be", "not", "pas", "es", "non", "è", "é", "nicht", "never", "n't", "of", "than", "unlike", "nor", "neither",
    "just", "only", "是", "于", "为", "非",
)  # fmt: skip
_NEGATIVES = ("negative", "minus", "负", "零下")
"""With what the words end that deny a number, or make it negative."""
_NEGATIVE = re.compile(r"\b(?:negative|minus)\s+$|(?:负|零下)\s*$", re.IGNORECASE)
_BETWEEN_LIST = re.compile(
    r"[\"”]?\s*(?:[,，、;；]|,?\s*\b(?:and|or(?:\s+(?:it\s+)?is)?)\b|或者?|和|及|与)\s*", re.IGNORECASE
)
_UNKNOWN = re.compile(r"(?<![\\A-Za-z])(?![xX]\s+[\d$])[a-zA-Z](?![A-Za-z])(?!\s*[/%²³])")
_IS_OR = re.compile(r"\s*,?\s+or\s+", re.IGNORECASE)
_SIGN_WORD = re.compile(r"\b(plus|minus|times|divided by)\b", re.IGNORECASE)
_SIGN_OF = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_DECIMAL = re.compile(r"\d{0,12}\.\d{1,12}")
_OR = re.compile(r"\bor\b|或", re.IGNORECASE)
_BETWEEN_TERM = re.compile(
    r"[\"″”]?\s*(?:times|mod|plus|minus|divided by|over|to|out of|of|by|for every|in every|in|squared|cubed|and a|and"
    r"|到|至|比|又|乘|加|减)\s*",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"\s*(?:(?P<percent>(?:percent|per cent|pct)\b\.?)|[ap]\.?\s?m\b\.?"
    r"|(?:[a-z]+ )?and (?:a|one|two|three)[ -](?:half|halves|third|thirds|quarters?|fourths?|fifths?)"
    r"|(?:tenths?|hundredths?|thousandths?|halves|thirds|fourths|fifths|eighths)\b"
    r"|squared\b|cubed\b|factorial\b|or (?:more|less|fewer|so)|times\b(?=\s*[\d(])"
    r"|倍|多|余|以上|以下|左右)",
    re.IGNORECASE,
)
"""What belongs to a number: percent, the half of a day, a part or a power."""
_TIMES = re.compile(r"(?<=[\d)%] )[xX](?= [\d$(.\\])|(?<=[A-Za-z]{2} )x(?= \$?\.?\d)|(?<=\d)[xX](?=\d)")
_ASIDE = re.compile(r"(?<=[\s*])\((?!\s*mod\b)(?=[^()]*(?:(?<!\\)\b[A-Za-z]{2,}|=))[^()]*\)")
_SUM_ASIDE = re.compile(
    r"(?<![\d.,])(?P<value>\$?\d[\d,]*(?:\.\d+)?)(?P<unit>(?: [A-Za-z]+){1,3})"
    r"(?P<aside> \((?P<sum>\$?[\d.,]+(?: ?[-+*×] ?\$?[\d.,]+)+)\))"
)
"""A value and, in brackets behind what it counts, how it comes about: "12 apples (5 + 7)"."""
_GOES_ON = re.compile(r"\((?:or|and|but)\b", re.IGNORECASE)
"""What stands in brackets and goes on with the sentence: "40 (or 41)"."""
_EQUALS = re.compile(r"(?<![<>!])=(?!>)|≈|≃|\\approx(?![a-z])|→|=>|⇒|\\rightarrow|\\to(?![a-z])")
_BINARY_START = re.compile(r"(?:[+×✕*·÷/=≈]|[-−–—](?=\s)|\\(?:times|div|cdot)|\\\(\s*(?:=|\\times))")
_BINARY_END = re.compile(r"(?:[+×✕*·÷/=≈]|(?<=\s)[-−–—]|\\(?:times|div|cdot))\s*$")
_OPENING = re.compile(
    r"(?:.*[.!?]\s)?\W*(?:after|in|for|within|at|by|over|during|every|when|with|given)\s+", re.IGNORECASE
)
_UNIT_AT_END = re.compile(r"(?<=\d) ?([A-Za-z]+|[\u3400-\u9fff]{1,3})\.?$")
_UNIT_WORD = re.compile(r"\s*(?:/\s*)?([A-Za-z°]+(?:[²³]|\^\{?[23]\}?)?|[\u3400-\u9fff]+)")
_RATE = re.compile(r"[A-Za-z]/[A-Za-z]{1,3}(?:\^[23])?(?![A-Za-z^])")
_OTHER_NAME = re.compile(
    r"(?: ?[a-zA-Z]+[²³]?)?\s*(?:[,;](?:\s*and\b)?|\sand\b)\s+(?!(?:the )?(?:total|sum|answer|result|remain|left|all|"
    r"average|profit|change|cost|price|difference))[A-Za-z]+(?: [a-z]+)?\s*"
)
_VALUE_OF_NAME = re.compile(r"=\s*[-−]?\$?[\d.,]+")
_MORE_OF_A_UNIT = re.compile(r"\bper\b|/|^(?:square|sq|cubic|cu|basis|平方|立方)", re.IGNORECASE)
"""In words that are no unit yet and may become one with the next."""
_UNIT_LETTER = re.compile(r"\d ?([mgshLl])[\s.$*]*$")
_UNIT_CHARS = 60
_PLAIN_NUMBER = re.compile(r"\$?\d(?:[\d,.]*\d)?")
_DIGIT = re.compile(r"\d")
_MAX_UNIT_WORDS = 4
_PLAIN = re.compile(r"(?:US)?([-−]?)\s*[$€£¥]?\s*(\d[\d,\s\u202f]*(?:\.\d+)?|\.\d+)\s*%?\s*[A-Za-z ²³\u3400-\u9fff]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Example: of "so 16 - 7 = 9 eggs remain" Mention(text="9 eggs", whole="", start=3, end=13, computed=True)."""

    text: str
    """The value with its unit; of an equation the last side."""
    whole: str = ""
    """The equation as it stands, where no words are in it."""
    start: int
    end: int
    computed: bool = False
    bounded: bool = False
    """Said of a limit ("at least 9"), under a condition or as one end of a range."""


def mentions(sentence: str) -> tuple[list[Mention], list[Mention]]:
    """The mentions of a sentence in their order, and those that stand in brackets beside it."""
    sentence = sentence[-_MAX_SENTENCE_CHARS:]
    sentence = sentence if sentence.isascii() else sentence.translate(_WIDE)
    if "x" in sentence or "X" in sentence:
        sentence = _TIMES.sub("×", sentence)
    asides: list[Mention] = []

    def cut(match: re.Match[str]) -> str:
        if _GOES_ON.match(match[0]):
            return f" {match[0][1:-1]} "
        asides.extend(_mentions(match[0][1:-1]))
        return " " * len(match[0])

    def cut_sum(match: re.Match[str]) -> str:
        repeats = worked_out(f"{match['sum']} = {match['value'].replace(' ', '')}") is not None
        return f"{match['value']}{match['unit']}{' ' * len(match['aside'])}" if repeats else match[0]

    main = _ASIDE.sub(cut, sentence) if "(" in sentence else sentence
    main = _SUM_ASIDE.sub(cut_sum, main) if "(" in main else main
    return _mentions(main), asides


def works_out(sentence: str) -> bool:
    """Whether a sentence may have an equation among its mentions."""
    return _EQUALS.search(sentence) is not None


def _mentions(sentence: str) -> list[Mention]:
    merged: list[Mention] = []
    for mention in _joined(sentence, list(_chunks(sentence))):
        before = sentence[max(0, mention.start - _DENIAL_CHARS) : mention.start]
        if may_end(before, _DENIALS) and _DENIED.search(before):
            continue
        if merged and mention.start < merged[-1].end:
            continue
        between = sentence[merged[-1].end : mention.start] if merged else None
        if between is not None and not mention.computed:
            if _is_compound(merged[-1].text, between, mention.text):  # "2 h 40 min"
                both = _merge(merged[-1], mention, f"{merged[-1].text} {mention.text}")
                merged[-1] = replace(both, bounded=is_bounded(sentence, both.start, both.end))
                continue
            if _IS_OR.fullmatch(between) and _is_again(merged[-1], mention):
                merged[-1] = replace(mention, start=merged[-1].start, computed=True)
                continue
            if _BETWEEN_LIST.fullmatch(between) and not (
                merged[-1].computed or _is_time(sentence, merged[-1], between)
            ):
                joint = " or " if _OR.search(between) else "," if _is_amount(sentence, merged[-1], mention) else ", "
                text = f"{merged[-1].whole or merged[-1].text}{joint}{mention.whole or mention.text}"
                merged[-1] = _merge(merged[-1], mention, text)
                continue
            share = between.strip() not in ("in", "over") or (merged[-1].text + mention.text).isdigit()
            if (
                share
                and _BETWEEN_TERM.fullmatch(between)
                and not _FROM.search(words_before(sentence, merged[-1].start))
            ):
                merged[-1] = _merge(merged[-1], mention, merged[-1].text + between + mention.text)
                continue
        merged.append(mention)
    return merged


def _is_again(first: Mention, second: Mention) -> bool:
    """Whether the second of two values is the first one worked out, or its percentage: "480 + 240, or 720 minutes",
    "7/10 = 0.7, or 70%"."""
    number = _PLAIN_NUMBER.match(second.text)
    if number is None or second.bounded:
        return False
    if first.computed and _DECIMAL.fullmatch(first.text) and second.text.endswith("%"):
        return Fraction(first.text) * 100 == Fraction(number[0].replace(",", ""))
    calculation = _SIGN_WORD.sub(lambda word: _SIGN_OF[word[1].lower()], first.text)
    return not _PLAIN_NUMBER.fullmatch(calculation) and worked_out(f"{calculation} = {number[0]}") is not None


def _is_amount(sentence: str, first: Mention, second: Mention) -> bool:
    """Whether two numbers with a comma between them may be one, of a currency or a unit: "2,74 euros"."""
    if first.end + 1 != second.start:
        return False
    return first.text[0] in "$€£¥" or sentence[second.end :].lstrip()[:1] in tuple("$€£¥") or second.text[-1].isalpha()


def _is_time(sentence: str, first: Mention, between: str) -> bool:
    """Whether a sentence begins with when or where something is: "After 3 days, 24 remain"."""
    return (
        between.strip() in (",", "，")
        and _OPENING.fullmatch(sentence[: first.start]) is not None
        and (_UNIT_AT_END.search(first.text) is not None or "=" in first.whole)
    )


def _is_compound(first: str, between: str, second: str) -> bool:
    """Whether the second of two values goes on with the first in a smaller unit."""
    if between.strip() not in ("", "and", ","):
        return False
    units = [_UNIT_AT_END.search(text) for text in (first, second)]
    if not all(units):
        return False
    large, small = (read_unit(m[1]) if m else None for m in units)
    return (
        large is not None and small is not None and large.dimension == small.dimension and large.factor > small.factor
    )


def _merge(first: Mention, second: Mention, text: str) -> Mention:
    return Mention(
        text=text, start=first.start, end=second.end, bounded=first.bounded or second.bounded, computed=second.computed
    )


def _chunks(sentence: str) -> Iterator[tuple[int, int]]:
    """Runs of numbers, signs, formulas and names of one letter."""
    start = end = number_end = unit_end = -1
    depth = 0
    for match in _PIECE.finditer(sentence):
        kind = match.lastgroup
        if kind == "space" or (unit_end > 0 and match.start() < unit_end):
            continue
        if kind == "word":
            if number_end >= 0 and sentence[number_end : match.start()].isspace() and _is_rate(sentence, match.start()):
                unit_end = match.end() + 1  # the stroke of "12 L/min" joins nothing
            inside = match.start() >= unit_end and (
                number_end == match.start() or (_is_name(match[0]) and _is_in_formula(sentence, match))
            )
        elif kind == "comma":
            inside = depth > 0
        else:
            inside = kind in _IN_A_CHUNK
        if inside:
            start = match.start() if start < 0 else start
            end = match.end()
            number_end = end if kind == "number" else -1
            if kind == "operator":
                depth = max(0, depth + (match[0] in "([{") - (match[0] in ")]}"))
        elif start >= 0:
            yield start, end
            start, depth = -1, 0
    if start >= 0:
        yield start, end


def _is_rate(sentence: str, start: int) -> bool:
    rate = _RATE.match(sentence, start)
    return rate is not None and read_unit(rate[0]) is not None


def _is_name(word: str) -> bool:
    return len(word.rstrip(".")) == 1 and word[0].isascii()


def _is_in_formula(sentence: str, match: re.Match[str]) -> bool:
    """Whether a letter by itself stands beside a sign of a formula."""
    before, after = sentence[: match.start()].rstrip()[-1:], sentence[match.end() :].lstrip()[:1]
    return (
        after in tuple("=^_+/<>≤≥≈") or before in tuple("=^_+/<>≤≥≈√") or sentence[match.end() : match.end() + 1] == "("
    )


def _joined(sentence: str, chunks: list[tuple[int, int]]) -> Iterator[Mention]:
    """Chunks as mentions; those of one calculation with words in it ("16 eggs - 7 eggs = 9 eggs") are one."""
    groups: list[list[tuple[int, int]]] = []
    for chunk in chunks:
        text = sentence[chunk[0] : chunk[1]]
        if groups and len(sentence[groups[-1][-1][1] : chunk[0]].split()) <= 5:
            before = sentence[groups[-1][-1][0] : groups[-1][-1][1]]
            share = before.endswith("%") and sentence[groups[-1][-1][1] : chunk[0]].strip() == "of"
            named = are_two_names(before, sentence[groups[-1][-1][1] : chunk[0]], text)
            if share or (_BINARY_START.match(text) and not named) or _BINARY_END.search(before):
                groups[-1].append(chunk)
                continue
        groups.append([chunk])
    for group in groups:
        mention = _mention(sentence, group)
        if mention is not None:
            yield mention


def are_two_names(first: str, between: str, second: str) -> bool:
    """Whether two names have a value each, of which neither is worked out: "length = 12, width = 5"."""
    return (
        _OTHER_NAME.fullmatch(between) is not None
        and _VALUE_OF_NAME.fullmatch(first) is not None
        and _VALUE_OF_NAME.fullmatch(second) is not None
    )


def _mention(sentence: str, group: list[tuple[int, int]]) -> Mention | None:
    start, end = group[0][0], group[-1][1]
    text = sentence[start:end]
    equals = [m.end() for m in _EQUALS.finditer(text)] if "=" in text or "\\" in text or not text.isascii() else []
    whole = _unwrapped(text).strip() if equals and len(group) == 1 else ""
    computed = bool(equals) and (_DIGIT.search(text, 0, equals[-1]) is not None or text.lstrip()[0] in "=≈→")
    if computed and len(equals) == 1 and _UNKNOWN.search(text, 0, equals[0]):
        unit = _UNIT_LETTER.search(text)  # "3n = 84" is to be solved, "20g + 60g = 80g" is not
        computed = unit is not None and set(_UNKNOWN.findall(text, 0, equals[0])) == {unit[1]}
        if unit is not None and computed:
            whole = re.sub(rf"(?<=\d) ?{unit[1]}(?![A-Za-z])", "", whole).rstrip(" .")
    if equals:
        end_of_last = equals[-1]
        value, value_start = text[end_of_last:], start + end_of_last
        value = _closed(value)
    else:
        value, value_start = text, start
    value = _trimmed(value)
    if not value:
        return None
    before = words_before(sentence, value_start)
    if may_end(before, _NEGATIVES) and _NEGATIVE.search(before):
        value = "-" + value
    number_end = end
    value, end = _with_unit(sentence, value, end)
    return Mention(
        text=value,
        whole=whole,
        start=start,
        end=end,
        computed=computed,
        bounded=not computed and is_bounded(sentence, start, end, number_end),
    )


def _unwrapped(text: str) -> str:
    text = text.strip()
    if text[:1] not in ("$", "\\"):
        return text
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and opening not in inner:
            return inner
    return text


def _closed(text: str) -> str:
    """The end of a formula whose opening mark was cut off with its left side."""
    bare = text.rstrip()
    if not bare.endswith(("$", "\\)", "\\]")):
        return text
    for mark in ("$$", "$", "\\)", "\\]"):
        if bare.endswith(mark):
            opening = {"\\)": "\\(", "\\]": "\\["}.get(mark, mark)
            if opening not in bare.removesuffix(mark):
                return bare.removesuffix(mark)
    return text


def _trimmed(text: str) -> str:
    """A term without signs and brackets at its ends that belong to the sentence."""
    text = text.strip().strip("*_").strip()
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    while text:
        before = text
        text = text.rstrip(" -−–—+×*·/^_|<>≤≥(") if not text.endswith(("\\)", "\\]")) else text
        text = text.lstrip(" ×*·/^_|<>≤≥)]}+%!")
        for opening, closing in ("()", "[]"):
            if text.count(opening) > text.count(closing) and text.startswith(opening):
                text = text[1:]
            if (
                text.count(closing) > text.count(opening)
                and text.endswith(closing)
                and not text.endswith("\\" + closing)
            ):
                text = text[:-1]
        if re.match(r"[-−–—]\s", text):
            text = text[1:]
        text = text.strip()
        if text == before:
            break
    return text


def _with_unit(sentence: str, value: str, end: int) -> tuple[str, int]:
    """The value with what belongs to it among the words behind it."""
    if value[-1:] >= "\u3400":  # the first character of a Chinese unit stands with its number
        for more in (3, 2, 1):
            rest = sentence[end : end + more]
            if len(rest) == more and read_unit(value[-1] + rest) is not None:
                return value + rest, end + more
    match = _JOINED.match(sentence, end)
    if match:
        return value + ("%" if match["percent"] else match[0]), match.end()
    stop = end
    best = value, end
    near = min(len(sentence), end + _UNIT_CHARS)
    for _ in range(_MAX_UNIT_WORDS):
        word = _UNIT_WORD.match(sentence, stop, near)
        if word is None:
            break
        stop = word.end()
        run = sentence[end:stop].strip()
        unit = read_unit(run)
        if run.casefold().rstrip("s") in MULTIPLIERS or (unit is not None and _is_unit(run, sentence[stop:])):
            best = value + sentence[end:stop], stop
        if unit is None and _MORE_OF_A_UNIT.search(run) is None:
            break
    return best


def _is_unit(word: str, rest: str) -> bool:
    """Whether the name of a unit is one here: a letter only where it stands by itself, "in" only at the end."""
    if rest[:1] in tuple("&'’") or (word == "in" and rest.strip(" .!")):
        return False
    return len(word) > 1 or word in ("m", "g", "s", "h", "L", "l") or not word.isascii()


def numbers_in(text: str) -> set[str]:
    found: set[str] = set()
    for run in set(_RUN.findall(text)):
        number = run.rstrip(_AFTER_A_NUMBER)
        found.update((number,) if number.isdigit() else _NUMBERS.findall(run))
    return set(map(mention_key, found))


@lru_cache(maxsize=4096)
def mention_key(text: str) -> str:
    """What two mentions have in common that state the same number."""
    if text.isascii() and text.isdigit():
        return str(int(text)) if len(text) <= _MAX_DIGITS else text
    text = _TEXT_GROUP.sub("", _unwrapped(text)).replace("\\$", "$").replace("\\%", "%").strip(" .*")
    match = _PLAIN.fullmatch(text)
    if match is None:
        return re.sub(r"\s+", "", text)
    number = re.sub(r"[,\s]", "", match[2])
    value = int(number) if number.isdecimal() and len(number) <= _MAX_DIGITS else Fraction(number)
    return f"{match[1].replace('−', '-')}{value}"
