"""What follows an answer: whether the writer takes it back, or states another value instead.

The text behind an answer in, True or False out. A later statement of any form is found by `answer`; here is told what
is left of an answer that only doubts, corrections and other numbers follow.
"""

import re

from ponder.verify.mentions import numbers_in

__all__ = ["is_replaced", "is_taken_back"]

_TAKEN_BACK = re.compile(
    r"\b(?:wait|hold on|oops|sorry|correction|on second thought|scratch that|typo"
    r"|let me (?:re-?(?:check|compute|calculate|do|think|consider|examine|evaluate)|correct|fix|try)"
    r"|i (?:mean|meant|forgot|misread|made an?|was wrong)|miscalculat\w+|misread|or rather|but actually|but it should"
    r"|(?:that|this|it|which|answer|value|result)(?:['’]s|\s+(?:is|was|seems|looks))\s+(?:\w+\s+)?(?:wrong|incorrect|mistaken"
    r"|not\s+(?:right|correct|valid|the answer)|an? (?:mistake|error))"
    r"|(?:cannot|can not|can['’]t) be (?:right|correct)|(?:it|this|that|answer) should (?:be|have been)"
    r"|(?:correct|right) (?:value|answer) (?:is|should))\b"
    r"|\bactually,?\s+(?:it|the|this|that|no|[\d$\\])|[(]\s*(?:wrong|incorrect)|(?:^|[.!?…,;]|\n)\s*no\b\s*(?:[,.!;:—-]|$)"
    r"|不对|错了|应该是|等等|更正",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"(?:^|\n|[.!?]\s+)\s*(?:so|thus|therefore|hence|but|however)\b[,]?\s+([^\n]*)", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n")
_NUMBER_LINE = re.compile(r"[-\s$*]*\d[\d,.]*[\s$*.]*")


def is_taken_back(answer: str, behind: str) -> bool:
    """Whether what follows an answer calls it wrong or begins again, and does not come back to it in the end."""
    if _TAKEN_BACK.search(behind) is None:
        return False
    last, own = _SENTENCES.split(behind.strip())[-1], numbers_in(answer)
    return not own or numbers_in(last) != own or _TAKEN_BACK.search(last) is not None


def is_replaced(answer: str, behind: str) -> bool:
    """Whether the text behind an answer that is a number ends with a conclusion of other numbers."""
    own = numbers_in(answer)
    if not own:
        return False
    lines = [line for line in behind.splitlines() if line.strip()]
    if lines and _NUMBER_LINE.fullmatch(lines[-1]):
        return not numbers_in(lines[-1]) <= own
    conclusions = _INSTEAD.findall(behind)
    return bool(conclusions) and bool(numbers_in(conclusions[-1])) and not numbers_in(conclusions[-1]) & own
