"""The equations of a thought: every `a = b` between numbers, and whether it holds.

Text in, claims out, in the order in which they stand. Both sides are read by the reader of answers and compared as
exact fractions; nothing is run. A claim is "wrong" only where both sides are whole, plain arithmetic and differ. Where
a side has a name in it, is cut by words ("the sum of 3 and 4 = 7"), is a question, or where the sides agree up to the
places written, it cannot be told.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ponder.maths.reader import read
from ponder.maths.samevalue import is_constant, same_value
from ponder.maths.tree import Number, TooLarge, Tree, Unreadable
from ponder.maths.values import Undefined, exact
from ponder.records import Outcome

__all__ = ["MAX_CLAIMS", "Claim", "find_claims"]

MAX_CLAIMS = 1_000
"""Claims of one thought that are looked at, from its beginning."""
_MAX_CHARS = 200_000
_MAX_SIDE = 200
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?"
_RUN = re.compile(
    rf"(?:{_NUMBER}|\\(?:[dt]?frac|times|cdot|div|left|right|sqrt)(?![A-Za-z])|\\[,;! ]"
    r"|[-+*/\u00d7\u00f7\u00b7\u22c5\u2212^(){}!%=$& \t])+"
)
"""Arithmetic without names; the sides of an equation are parts of one run."""
_OTHER_SIGNS = re.compile(r"[<>!:=~\u2260\u2264\u2265]=|=[=><]")
_TIMES = re.compile(r"(?<=[\d)])([ \t]*)[xX]([ \t]*)(?=[\d(])")
_LIST_MARK = re.compile(r"[ \t]*(?:[-*+]|\(?\d{1,3}\))[ \t]+")
"""A bullet, or a number with a bracket, at the beginning of a line."""
_SIGN = re.compile(r"[-+*/\u00d7\u00f7\u00b7\u22c5\u2212^]")
_DIVIDED = re.compile(r"[\d)}!%]\s*[-+*/\u00d7\u00f7\u00b7\u22c5\u2212^]|\\")
"""An operation between two numbers."""
_SIDE_BY_SIDE = re.compile(r"[\d)]\s+[\d(]|//|%\s*[\d(]|\*\s+\*")
_RATIO, _RATIO_AFTER = re.compile(r"\d\s+:$"), re.compile(r"\s+:\s*\d")
_ARROW = re.compile(r"[\u2190-\u21ff\u27f0-\u27ff\u2248]")
_WORD_BEFORE = re.compile(r"([A-Za-z_][A-Za-z_0-9']*|[\u3400-\u9fff])\s*$")
_WORD_AFTER = re.compile(r"[^\S\n]*(?:\\?[A-Za-z_][A-Za-z_0-9']*|[\u3400-\u9fff])")
_INTRODUCING = (
    "so then thus hence therefore since because that is get gets have has gives give but check now wait hmm yes no ok "
    "okay try if where means first next finally alternatively"
)
_INTRODUCES = frozenset(_INTRODUCING.split())
"""Words after which a number alone is a whole side."""
_INTRODUCES_CHINESE = frozenset("以为即得则么有是明于")
_COMPUTING = (
    "of plus minus times over by mod modulo squared cubed percent half twice double triple root power hundred thousand "
    "million billion dozen divided multiplied not never isn't aren't"
)
_COMPUTES = frozenset(_COMPUTING.split())
"""Words beside which a side is only a part of what is meant."""
_COMPUTES_CHINESE = frozenset("乘加减除倍万亿千百分不非模")
_OPENS, _CLOSES = frozenset("([{\"'`“‘«:;,.!?。，；：！？（|>*"), frozenset(")]}\"'`”’».,;:!?。，；：！？）|<*")

_PARTS = "√∛∜∑∏∫±∓∂∆∇°⌈⌊"
"""Signs of a value that is not read, as superscripts, fractions in one sign and Greek names are."""
_CLOSES_FORMULA = frozenset({"\\)", "\\]", "\\\\"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`text[start:end]` is the equation. Example: Claim(start=3, end=14, text="25 - 7 = 19", outcome="wrong",
    reason="25 - 7 is 18")."""

    start: int
    end: int
    text: str
    outcome: Outcome
    reason: str


def find_claims(text: str) -> list[Claim]:
    """Every equation of two sides, the links of a chain `a = b = c` each for itself."""
    text = text[:_MAX_CHARS]
    plain = _OTHER_SIGNS.sub("\0\0", _TIMES.sub("\\1\u00d7\\2", text))
    claims: list[Claim] = []
    for run in _RUN.finditer(plain):
        for claim in _claims_of(text, plain, run.start(), run.end()) if "=" in run[0] else ():
            claims.append(claim)
            if len(claims) == MAX_CLAIMS:
                return claims
    return claims


@dataclass(frozen=True, slots=True)
class _Side:
    """A piece of the text, and why it may be no whole side."""

    start: int
    end: int
    doubt: str | None


def _claims_of(text: str, plain: str, start: int, end: int) -> Iterator[Claim]:
    cuts = [start - 1, *(i for i in range(start, end) if plain[i] == "="), end]
    sides = [_Side(left + 1, right, None) for left, right in pairwise(cuts)]
    sides[0] = _first(plain, sides[0].start, sides[0].end)
    sides[-1] = _last(plain, sides[-1].start, sides[-1].end)
    asked = plain[end:].lstrip(" \t").startswith(("?", "\uff1f"))
    for number, (left, right) in enumerate(pairwise(sides)):
        if not plain[left.start : left.end].strip(" \t$&") or not plain[right.start : right.end].strip(" \t$&*!"):
            continue
        first = left.start + len(plain[left.start : left.end]) - len(plain[left.start : left.end].lstrip())
        last = left.start + len(plain[left.start : right.end].rstrip())
        outcome, reason = _judge(plain, left, right)
        if asked and number == len(sides) - 2 and outcome != "right":
            outcome, reason = "cannot_tell", "a question"
        yield Claim(start=first, end=last, text=text[first:last], outcome=outcome, reason=reason)


def _first(plain: str, start: int, end: int) -> _Side:
    """The side before the first sign of equality, without what does not belong to it."""
    line = plain.rfind("\n", 0, start) + 1
    if not plain[line:start].strip() and (mark := _LIST_MARK.match(plain, start, end)) is not None:
        start = mark.end()
    start += _unmatched(plain[start:end], "(", ")", last=True)
    while start < end and plain[start] in " \t$&":
        start += 1
    if plain.startswith("**", start):
        start += 2
    before = plain[:start].rstrip(" \t$&(*")
    word = _WORD_BEFORE.search(before[-40:])
    if start == end:
        if word is None:
            return _Side(start, end, None)
        return _Side(len(before) - len(word[1]), end, f"{word[1]!r} has no value here")
    attached = plain[start - 1] if start else "\n"
    if not attached.isspace() and attached not in _OPENS and attached not in "$&" and attached < "\u3400":
        return _Side(start, end, f"{attached!r} stands before it")
    if attached in ",.:" and plain[start - 2 : start - 1].isdigit():
        return _Side(start, end, "a number before it is cut")
    apart = plain[line:start].rstrip(" \t$&")
    if apart and (_is_part(apart[-1]) or (apart.endswith(":") and _RATIO.search(apart) is not None)):
        return _Side(start, end, f"{apart[-1]!r} stands before it")
    if apart and _SIGN.match(plain, start) and apart[-1] not in _OPENS - {"|"} and not _ARROW.match(apart[-1]):
        return _Side(start, end, f"{apart[-1]!r} stands before it")
    if word is None:
        return _Side(start, end, None)
    name, side = word[1], plain[start:end]
    if _SIGN.match(side) or name.casefold() in _COMPUTES or name in _COMPUTES_CHINESE:
        return _Side(start, end, f"{name!r} stands before it")
    whole = _DIVIDED.search(side.rstrip()) is not None
    if not whole and name.casefold() not in _INTRODUCES and name not in _INTRODUCES_CHINESE:
        return _Side(start, end, f"{name!r} stands before it")
    return _Side(start, end, None)


def _last(plain: str, start: int, end: int) -> _Side:
    """The same of the side behind the last one."""
    word = _WORD_AFTER.match(plain, end)
    cut = _unmatched(plain[start:end], "(", ")", last=False)
    stop = start + cut if cut else end
    side = plain[start:stop].rstrip(" \t$&")
    stop = start + len(side.removesuffix("**").rstrip())
    if not plain[start:stop].strip(" \t$&"):
        return _Side(start, stop, None) if word is None else _Side(start, word.end(), "words stand in it")
    doubt = None
    following = plain[end:].lstrip(" \t$&")[:1]
    if (following and _is_part(following)) or _RATIO_AFTER.match(plain, stop):
        doubt = f"{following!r} stands behind it"
    elif word is not None:
        name = word[0].strip()
        attached = stop == end and plain[end - 1] not in " \t$&" and name[0] < "\u3400"
        computes = name.casefold() in _COMPUTES or name in _COMPUTES_CHINESE or name.startswith("\\")
        if attached or computes:
            doubt = f"{name!r} stands behind it"
        elif len(name) == 1 and name.isascii() and name not in "aAI":
            doubt = f"{name!r} has no value here"
    elif stop == end and end < len(plain):
        after = plain[end]
        if not after.isspace() and after not in _CLOSES and plain[end : end + 2] not in _CLOSES_FORMULA:
            doubt = f"{after!r} stands behind it"
        elif after in ",.:" and plain[end + 1 : end + 2].isdigit():
            doubt = "a number behind it is cut"
    return _Side(start, stop, doubt)


def _is_part(character: str) -> bool:
    return character in _PARTS or unicodedata.category(character) == "No" or "\u0370" <= character <= "\u03ff"


def _unmatched(side: str, opening: str, closing: str, *, last: bool) -> int:
    """Where a side begins behind its last bracket that is not closed, or opened; or ends before its first one. 0 where
    all are matched."""
    opened: list[int] = []
    found: list[int] = []
    for place, character in enumerate(side):
        if character == opening:
            opened.append(place)
        elif character == closing:
            if opened:
                opened.pop()
            else:
                found.append(place)
    found = sorted([*found, *opened])
    if not found:
        return 0
    return found[-1] + 1 if last else found[0]


def _judge(plain: str, left: _Side, right: _Side) -> tuple[Outcome, str]:
    """Whether two sides are equal."""
    if (doubt := left.doubt or right.doubt) is not None:
        return "cannot_tell", doubt
    one, other = (plain[side.start : side.end].strip(" \t$&") for side in (left, right))
    try:
        first, second = _read(one), _read(other)
        spoken = "!" if other.endswith("!") else ""
        if _equal(first, second) or (spoken and _equal(first, _read(other[:-1]))):
            return "right", "both sides are equal"
    except (Unreadable, TooLarge, Undefined) as stopped:
        return "cannot_tell", str(stopped)[:160]
    if _rounded(first, second) or _rounded(second, first):
        return "cannot_tell", "equal up to the places written"
    return "wrong", _difference(one, first) or _difference(other, second) or f"{one} is not {other}"


def _difference(side: str, tree: Tree) -> str | None:
    """What a side comes to, where that is worth saying."""
    value = exact(tree, {})
    if value is None or isinstance(tree, Number) or (written := _written(value)) == side:
        return None
    return f"{side} is {written}"


def _written(value: Fraction) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _read(side: str) -> Tree:
    side = side.replace("$", "").replace("&", "")
    if len(side) > _MAX_SIDE:
        raise TooLarge(f"a side has more than {_MAX_SIDE} characters")
    if _SIDE_BY_SIDE.search(side):
        raise Unreadable("numbers stand side by side")
    tree = read(side)
    if not isinstance(tree, Number) and not is_constant(tree):
        raise Unreadable("a side is no number")
    return tree


def _equal(a: Tree, b: Tree) -> bool:
    values = exact(a, {}), exact(b, {})
    if None not in values:
        return values[0] == values[1]
    return same_value(a, b)


def _rounded(rounded: Tree, whole: Tree) -> bool:
    """Whether a decimal is another value, cut or rounded to its places."""
    value = exact(whole, {})
    if not isinstance(rounded, Number) or not rounded.places or value is None:
        return False
    return abs(rounded.value - value) < Fraction(1, 10**rounded.places)
