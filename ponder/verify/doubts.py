"""What in a sentence keeps a number from being the value that it states: limits, denials, conditions, names of things.

A sentence and the place of a mention in, True or False out.
"""

import re

__all__ = ["is_bounded", "states_nothing"]

_FRACTIONS = r"(?:half|thirds?|quarters?|fifths?|tenths?)"
_OF = (
    r"multiple|factor|divisor|square|cube|square root|root|power|negative|opposite|reciprocal|inverse|loss|debt|deficit"
    r"|decrease|drop|each|none|all"
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_BEFORE = re.compile(
    rf"(?:\b(?:{_FRACTIONS}(?: of)?|twice|thrice|double|triple"
    r"|at least|at most|less than|more than|fewer than|greater than|up to|no more than|no less than|over|under"
    r"|above|below|almost|nearly|if|unless|maybe|perhaps|possibly|probably|might be|could be|between|as"
    rf"|(?:{_OF}) of(?: the)?"
    r"|divisible by|exceeds?|anything but|different from|(?:not|n't) equal(?: to)?|close to|closer to|near|depends on"
    r"|owes?|owed|lost|is down|composed of|all his|ratio of \w+ to \w+ is|sum of digits of"
    r"|by adding|number (?:before|after|with|of digits)|obtained in|found in"
    r"|step|case|chapter|theorem|example|lemma|figure|formula|option|page|line|room|bus|exercise"
    rf"|every|has no|(?:\w+n['’]t|not) have|to have|{_MONTHS})\s+(?:a\s+)?"
    r"|至少|至多|最多|最少|超过|不到|不足|大于|小于|高于|低于)$",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|unless|initially|originally|already|yesterday|wanted|should have had|impossible)\b[^,.;:]*$",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\s*\(?\s*mod\b|\s*,?\s+(?:is|are|was)\s+"
    r"(?:wrong|incorrect|false|not|too|rejected|extraneous|impossible|a contradiction)\b"
    r"|\s*,?\s+(?:does(?:n['’]t| not)|did(?:n['’]t| not)|fails?\b|it fails)|\s*[:：]\s*no\b|\s*[-‐‑](?=[A-Za-z])"
    r"|\s*(?:,\s*)?(?:if|when|unless|provided|where)\b|\s*(?:如果|当)"
    r"|\s*(?:[A-Za-z°]{1,12}\s+){0,2}?(?:below\b|short of|off\b(?=\W*$)|under par|less\s+(?=\d)"
    r"|(?:older|younger|shorter|taller|colder"
    r"|warmer|larger|smaller|fewer|less)(?=\W*$)|at least\b|at most\b"
    r"|in the red|in base)"
    rf"|\s+(?:plus|minus|choose|remainder|with a remainder|to the power|vs\.?|versus|{_MONTHS})\s"
    r"|\s+(?:\w+\s+){0,2}?times\s+(?:as|the|[a-z]\b)"
)
_COMPARED = re.compile(r"\s+(?:\w+\s+)?(?:more|less|fewer|older|younger|higher|lower)\s+than\b", re.IGNORECASE)
_CHINESE = re.compile(
    r"[-\d./]+\s*(?:分之|的(?:平方|立方|一半|倍|\d)|以[上下内]|点半|个半|又|(?:小时|分钟?|元|米|公斤|千克|点)\s*\d)"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b\s+[a-z]")
_LETTERS_OF_ORDINAL = re.compile(r"\d(?:st|nd|rd|th)$")
_SECOND = re.compile(
    r"\s+(?:for\s+(?!every|each)|(?!because|since|as|after|when|if|from|with|in|on|at|by|per|over|out|of|for|and|or|times|to|is"
    r"|are|was)(?=[a-z]))[A-Za-z]+\.?(?:\s*=\s*\d+)?(?:,\s*|\s+(?:and|vs\.?)\s+|\s+)(?:\$)?\d"
)
_LOSS = re.compile(r"\(\s*\\?\$[\d.,]+\s*\)")
_NOTHING = re.compile(
    r"^(?:\W*\d+\.)?\W*(?:given|assume|note|time limit|we know|the (?:problem|question) says|it is given|problem|sorry"
    r"|i (?:do not|don['’]t) know|i cannot|i am unable|for \w = \d+ it)\b"
    r"|\b(?:not unique|not enough|undefined|depends on|extraneous|rejected|it fails|contradiction|impossible to|typo)\b"
    r"|n['’]t know\b|\b(?:cannot|can['’]t|could not) solve\b",
    re.IGNORECASE,
)
_CUT_OFF = re.compile(r"\b(?:and|or|then|by|the|a|of|with|to|if|so|holds|away|an|his|her|their)\s*$", re.IGNORECASE)


def is_bounded(sentence: str, start: int, end: int) -> bool:
    """Whether the number between `start` and `end` is a limit, denied, supposed, a name, or one of two parts."""
    before, text = sentence[:start].rstrip("$ ") + " ", sentence[start:end]
    if _BEFORE.search(before) or _BEFORE.search(before.rstrip()) or _SUPPOSED.search(before):
        return True
    if not before.strip() and _COMPARED.match(sentence, end):
        return True
    if _ORDINAL.match(sentence, end) or (
        _LETTERS_OF_ORDINAL.search(text) and sentence[end : end + 2].strip().isalpha()
    ):
        return True
    if text.endswith(("-", "‐", "‑")) and sentence[end : end + 1].isalpha():
        return True
    if _CHINESE.match(sentence, start):
        return True
    return bool(_BEHIND.match(sentence, end) or _SECOND.match(sentence, end) or _LOSS.fullmatch(text.strip(" .")))


def states_nothing(sentence: str) -> bool:
    """Whether a sentence repeats what is given, breaks off, or says that there is no answer."""
    return _NOTHING.search(sentence) is not None or _CUT_OFF.search(sentence) is not None
