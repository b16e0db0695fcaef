"""What follows an answer: whether the writer takes it back, or states another value instead.

The text behind an answer in, True or False out. A later statement of any form is found by `answer`; here is told what
is left of an answer that only doubts, corrections and other numbers follow.
"""

import re
from fractions import Fraction

from ponder.maths.reader import read
from ponder.maths.tree import TooLarge, Unreadable
from ponder.maths.values import Undefined, approximate
from ponder.maths.words import number_word
from ponder.verify.mentions import numbers_in

__all__ = ["comes_back", "correction", "doubts_itself", "is_replaced", "is_taken_back"]

_TAKEN_BACK = re.compile(
    r"\b(?:wait|hold on|oops|sorry|correction|on second thought|scratch that|typo"
    r"|let me (?:re-?(?:check|compute|calculate|do|think|consider|examine|evaluate)|correct|fix|try)"
    r"|i (?:mean|meant|forgot|misread|made an?|was wrong)|miscalculat\w+|misread|or rather|but actually|but it should"
    r"|(?:that|this|it|answer|value|result)(?:['’]s|\s+(?:is|was|seems|looks))\s+(?:\w+\s+)?(?:wrong|incorrect"
    r"|mistaken|invalid|void"
    r"|not\s+(?:right|correct|valid|the answer)|an? (?:mistake|error))"
    r"|(?:cannot|can not|can['’]t) be (?:right|correct)|(?:it|this|that|answer) should (?:be|have been)"
    r"|(?:correct|right) (?:value|answer) (?:is|should))\b"
    r"|\b(?:nope|erratum|strike that|make that|never ?mind|my bad)\b|\bi take (?:that|it) back\b|\b(?:ignore"
    r"|disregard|discard) (?:that|this|the)\b"
    r"|\bactually,?\s+(?:it|the|this|that|no|[\d$\\])|[(]\s*(?:wrong|incorrect)"
    r"|(?:^|[.!?…,;\n])[^\S\n]*no\b\s*(?:[,.!;:—-]|$)"
    r"|不对|错了|应该是|等等|更正"
)
"""In small letters."""
_ENDS = r"(?=[ .!)*$]*(?:\n|$))"
_HARMLESS = re.compile(
    r"\b(?:to|of|the|average|total|must|will) wait\b|\bwait(?:ing)?[ -](?:times?|periods?|lists?)\b"
    r"|\bsorry (?:for|about) (?:the|my|such an?|this) (?:long|length|delay|verbos)\w*"
    rf"|\bas it should be\b(?:{_ENDS}|(?=[ $]*,? (?:since|because)\b))"
    rf"|\b(?:answer|value|it|result) should be (?:an? )?(?:positive |non-?negative )?(?:integer|whole number){_ENDS}"
    rf"|\b(?:ignore|disregard|discard) the (?:negative|other|extraneous) (?:root|solution|value|case|one)s?{_ENDS}"
    r"|\bthe (?:other|remaining|negative) (?:value|root|solution|one)s? (?:is|are) (?:not valid|invalid)\b"
)
"""In small letters: what has the words of a correction and takes nothing back, or something else than the answer."""
_CONFIRMED = re.compile(r"\b(?:is (?:indeed )?(?:correct|right)|confirmed|checks out)\b", re.IGNORECASE)
_WHICH_IS_WRONG = re.compile(
    r"\bwhich\s+(?:is|was|seems)\s+(?:\w+\s+)?(?:wrong|incorrect|mistaken|not\s+(?:right|correct|valid))\b",
    re.IGNORECASE,
)
_MAX_SENTENCE = 300
_CORRECTED = re.compile(
    r"(?:\bit['’]s|\b(?:it|that) (?:is|should be|should have been)|\bthe (?:\w+ )?(?:answer|value|result"
    r"|total) (?:is|should be))\s*:?\s+"
    r"(\S[^.!?\n]{0,40}(?:\.\d+)?)[.!]?\s*$",
    re.IGNORECASE,
)
_INSTEAD = re.compile(
    r"(?:(?:^|\n)[^\S\n]*|[.!?][^\S\n]+)(?:so|thus|therefore|hence|but|however)\b[,]?\s+([^\n]*)", re.IGNORECASE
)
_DENIED = re.compile(r"\b(?:not|wrong|incorrect|or|at least|at most|than|maybe|perhaps)\b|n['’]t\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")
_WORD = re.compile(r"[A-Za-z]+(?:-[a-z]+)?")
_DECIMAL = re.compile(r"(?<![\d.,])\d{1,12}\.(\d{1,12})(?![\d.,]*\d)")
_NUMBER_LINE = re.compile(r"[-\s$*]*\d[\d,.]*[\s$*.]*")


def is_taken_back(answer: str, behind: str) -> bool:
    """Whether what follows an answer calls it wrong or begins again, and does not come back to it in the end."""
    if not behind.strip():
        return False
    own = numbers_in(answer)
    behind = _HARMLESS.sub(
        lambda said: said[0] if "negative" in said[0] and re.search("[-−]", answer) else " ", behind.lower()
    )
    which = _WHICH_IS_WRONG.finditer(behind) if "which" in behind else ()
    named = (numbers_in(_SENTENCES.split(behind[max(0, m.start() - _MAX_SENTENCE) : m.start()])[-1]) for m in which)
    of_it = any(not numbers or numbers & own for numbers in named)
    if not of_it and _TAKEN_BACK.search(behind) is None:
        return False
    rest = behind[max((m.end() for m in _TAKEN_BACK.finditer(behind)), default=0) :]
    if own and _CONFIRMED.search(rest) and numbers_in(rest) == own:
        return False
    last = _SENTENCES.split(behind.strip())[-1]
    return not own or numbers_in(last) != own or _TAKEN_BACK.search(last) is not None


def comes_back(answer: str, behind: str) -> bool:
    """Whether what follows an answer ends with its number."""
    own = numbers_in(answer)
    return bool(own) and bool(behind.strip()) and numbers_in(_SENTENCES.split(behind.strip())[-1]) == own


def doubts_itself(text: str) -> bool:
    """Whether a text takes something back, be it only for a moment."""
    return _TAKEN_BACK.search(text.lower()) is not None


def correction(answer: str, behind: str) -> str | None:
    """The value that the last sentence gives in place of an answer that is taken back: "Wait, no. It is 69"."""
    last = _SENTENCES.split(f"{answer} {behind}".strip())[-1]
    match = _CORRECTED.search(last)
    if match is None or _TAKEN_BACK.search(match[1].lower()) or _DENIED.search(match[1]) or not numbers_in(match[1]):
        return None
    return match[1]


def is_replaced(answer: str, behind: str) -> bool:
    """Whether the text behind an answer that is a number ends with a conclusion of other numbers."""
    answer, behind = answer.replace("{,}", ","), behind.replace("{,}", ",")
    own = numbers_in(answer) if behind.strip() else set()
    if not own:
        return False
    lines = [line for line in behind.splitlines() if line.strip()]
    if lines and _NUMBER_LINE.fullmatch(lines[-1]):
        return not (numbers_in(lines[-1]) <= own or _repeats(answer, lines[-1]))
    concluded = _INSTEAD.findall(behind)[-1:]
    numbers = numbers_in("".join(concluded))
    return bool(numbers) and not numbers & own and not _repeats(answer, concluded[0])


def _repeats(answer: str, conclusion: str) -> bool:
    """Whether a conclusion gives the value of an answer in words, or what is no decimal as one."""
    try:
        value = approximate(read(answer), 30)
    except (Unreadable, TooLarge, Undefined):
        return False
    if value is None:
        return False
    if any(number_word(word) == value != 1 for word in _WORD.findall(conclusion)):
        return True
    for decimal in () if "." in answer else _DECIMAL.finditer(conclusion):
        distance = abs(abs(value) - Fraction(decimal[0]))
        if not distance or (len(decimal[1]) > 1 and 2 * distance * 10 ** len(decimal[1]) <= 1):
            return True
    return False
