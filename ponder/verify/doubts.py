"""What in a sentence keeps a number from being the value that it states: limits, denials, conditions, names of things.

A sentence and the place of a mention in, True or False out.
"""

import re
from fractions import Fraction

from ponder.maths.units import read_unit

__all__ = ["is_bounded", "is_limit", "states_nothing", "words_before"]

_NEAREST_CHARS = 36
"""Before a number; as long as the longest of `_BEFORE`."""
_NEAR_CHARS = 80
"""Before a number; what bears on it stands nearer."""
_FRACTIONS = r"(?:half|thirds?|quarters?|fifths?|tenths?)"
_OF = (
    r"multiple|factor|divisor|square|cube|square root|root|power|negative|opposite|reciprocal|inverse|loss|debt|deficit"
    r"|decrease|drop|each|none|all"
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_BEFORE = re.compile(
    rf"(?:\b(?:{_FRACTIONS}(?: of(?: the)?)?|twice|thrice|double|triple|\w+ times"
    r"|at least|at most|less than|more than|fewer than|greater than|up to|no more than|no less than|over|under"
    r"|above|below|almost|nearly|(?<!only )if|unless|maybe|perhaps|possibly|probably|might be|could be|between|as"
    rf"|(?:{_OF}) of(?: the)?"
    r"|divisible by|exceeds?|anything but|different from|(?:not|n't) equal(?: to)?|(?:in addition to|apart from"
    r"|besides|except(?: for)?)(?: the)?|close to|closer to|far from|no longer|contains?|containing|including"
    r"|such as|e\.g\.|near|depends on"
    r"|owes?|owed|lost|is down|composed of|all his|digits of"
    r"|by adding|number (?:before|after|with|of digits)|obtained in|found in"
    r"|step|day|week|level|round|case|chapter|theorem|example|lemma|figure|formula|option|page|line|room|bus|exercise"
    rf"|every|has no|(?:has|wears|wearing) (?:the )?number|(?:\w+n['’]t|not) have|to have|{_MONTHS})\s+(?:a\s+)?"
    r"|至少|至多|最多|最少|超过|不到|不足|大于|小于|高于|低于)$",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"\b(?:at least|at most|no more than|no less than|up to)\W*$|(?:至少|至多|最多|最少)\s*$", re.IGNORECASE
)
_SUPPOSED = re.compile(
    r"\b(?:(?<!only )if|unless|initially|originally|already|yesterday|wanted|should have had|impossible)\b[^,.;:]*$",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"\s*\(?\s*mod\b|\s*,?\s+(?:is|are|was)\s+"
    r"(?:wrong|incorrect|false|not|too|rejected|extraneous|impossible|a contradiction)\b"
    r"|\s*,?\s+(?:does(?:n['’]t| not)|did(?:n['’]t| not)|fails?\b|it fails)|\s*[:：]\s*no\b|\s*[-‐‑](?=[A-Za-z])"
    r"|\s*(?:,\s*)?(?:if|when|unless|provided|where)\b|\s*(?:如果|当)"
    r"|\s*,?\s+(?:(?:would|might|could) (?:be|have been)|cannot|can not|can['’]t|could not|couldn['’]t)\b"
    r"|\s*(?:[A-Za-z°]{1,12}\s+){0,2}?(?:below\b|short of|off\b(?=\W*$)|under par|less\s+(?=\d)"
    r"|(?:older|younger|shorter|taller|colder"
    r"|warmer|larger|smaller|fewer|less)(?=\W*$)|at least\b|at most\b"
    r"|in the red|in base)"
    rf"|\s+(?:plus|minus|choose|remainder|with a remainder|to the power|vs\.?|versus|{_MONTHS})\s"
    r"|\s+(?:\w+\s+){0,2}?times\s+(?:as|the|[a-z]\b)"
)
_COMPARED = re.compile(
    r"\s+(?:\w+\s+)?(?:more|less|fewer|older|younger|higher|lower|taller|shorter|larger|smaller|longer|heavier"
    r"|faster|cheaper)"
    r"\s+than\s+([A-Z])?",
)
_WHEN = re.compile(r"\$?\s*,?\s*(?:when|where|at|if)\b")
_EXTREME = re.compile(
    r"\b(?:maximum|minimum|maximal|minimal|largest|smallest|greatest|least|highest|lowest|most)\b", re.IGNORECASE
)
_RATE = re.compile(
    r"\s*(?:cents?|dollars?)?\s+(?:per|an?|each)\s+(?:ounce|pound|item|unit|kilogram|gram|mile|gallon|foot|piece)\b"
)
_RATIO_OF = re.compile(r"\bratio of \w+ to \w+ is\s*$", re.IGNORECASE)
_IN_ONE = re.compile(r"\s*([A-Za-z]+) (?:in|to|per|make) (?:a|an|one|each|every|the) ([A-Za-z]+)\b")
_CHINESE = re.compile(
    r"[-\d./]+\s*(?:分之|的(?:平方|立方|一半|倍|\d)|以[上下内]|点半|个半|又|(?:小时|分钟?|元|米|公斤|千克|点)\s*\d)"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b\s+[a-z]")
_LETTERS_OF_ORDINAL = re.compile(r"\d(?:st|nd|rd|th)$")
_SECOND = re.compile(
    r"\s+(?:for\s+(?!every|each|the|all|these|those|his|her|their)|(?!because|since|as|after|when|if|from|with|in|on"
    r"|at|by|per|over|out|of|for|and|or"
    r"|times|to|is"
    r"|are|was)(?=[a-z]))[A-Za-z]+\.?(?:\s*=\s*\d+)?(?:,\s*|\s+(?:and|vs\.?)\s+|\s+)(?:\$)?\d"
)
_LOSS = re.compile(r"\(\s*\\?\$[\d.,]+\s*\)")
_NOTHING_SAID = (
    # what is given or asked
    r"^(?:\W*\d+\.)?\W*(?:given|assume|note|time limit|we know|(?:we|i|you) (?:are|were) given|it is given|problem)\b",
    r"\b(?:is|are|was|were) given\b|^(?:\W*\d+\.)?\W*the (?:problem|question) says\b",
    r"\bthe (?:problem|question|statement|exercise|task|text) (?:gives|says|states|tells|mentions|asks)\b",
    r"\b(?:we|i) (?:look|are looking|search) for\b|\bwe (?:want|seek)\b|\bwhether\b",
    r"^\W*(?:已知|题目(?:给出|说|中)|首先|第[一二三四五六\d]步)",
    # what is supposed, claimed or guessed
    r"^(?:\W*\d+\.)?\W*(?:imagine|for the sake of argument|for \w = \d+ it)\b|^\W*assuming (?:that )?the answer\b",
    r"\b(?:would|might) (?:say|think|guess)\b|\bguess was\b|\bclaim\b|(?:n['’]t|\bnot) (?:think|believe)\b",
    r"\b(?:naive|careless|tempting|mistaken|(?:wrong|incorrect) answer)\b",
    # what is denied
    r"(?:\b(?:false|untrue|not true)|n['’]t true) that\b|\b(?:false|wrong) (?:statement|assertion)\b|\brefuted\b",
    r"\b(?:extraneous|rejected|discarded|ruled out|it fails|which (?:fails|failed)|contradiction|typo)\b|,\s*no[.!]?$",
    # what is not known
    r"^(?:\W*\d+\.)?\W*(?:unfortunately|sorry|i (?:do not|don['’]t) know|i cannot|i am unable)\b|n['’]t know\b",
    r"\b(?:not|n['’]t) (?:sure|certain)\b|\bcannot (?:determine|be determined|find)\b|不能确定|无法确定",
    r"\bknown so far\b",
    r"\b(?:cannot|can['’]t|could not) solve\b|\b(?:not unique|not enough|undefined|depends on|impossible to)\b|\bwait,",
    # a step, after which something is left to do
    r"^\W*(?:so|then|next|now|first)?,?\s*(?:we|i) (?:add|subtract|multiply|divide|plug|substitute)\b[^=]*$",
    r"^\W*(?:first|firstly|to begin|to start)\b|\bwhich (?:we|i|you) (?:need|have|must|then|now)\b",
    r"\b(?:twice|double|half|triple) (?:of )?(?:this|that|it|these)\b",
    r"\b(?:nothing|none|no \w+) (?:is |are )?(?:left|remain\w*)\b",
    # what is said of the answer, or of a thing with a number
    r"\b(?:of|half|twice|double|triple) the answer\b",
    r"\bthe answer (?:squared|cubed|ends|contains|rounds|has|plus|minus|times|divided)\b",
    r"^\W*(?:flight|gate|platform|seat|highway|route|apartment|house|problem|question|grade|player|channel|train) \d",
)
_NOTHING = re.compile("|".join(_NOTHING_SAID), re.IGNORECASE)
_CUT_OFF = re.compile(
    r"\b(?:and|or|then|by|the|a|of|with|to|if|so|holds|away|an|his|her|their)\s*$|,\s*$|(?:[-+/=×÷^(]|(?<=\s)\*"
    r"|\\(?:cdot|times|div|frac))\s*\$?\s*$",
    re.IGNORECASE,
)


def is_limit(sentence: str, start: int) -> bool:
    """Whether what bounds the number at `start` is a least or a most, which may be what was asked for."""
    return _LIMIT.search(words_before(sentence, start)) is not None


def words_before(sentence: str, start: int) -> str:
    """What stands right before a place in a sentence."""
    return sentence[max(0, start - _NEAR_CHARS) : start]


def is_bounded(sentence: str, start: int, *ends: int) -> bool:
    """Whether the number from `start` on is a limit, denied, supposed, a name, or one of two parts. It has several ends
    where a unit may belong to it."""
    before = words_before(sentence, start).rstrip("$ ")
    near = before[-_NEAREST_CHARS:]
    if (
        _BEFORE.search(f"{near} ")
        or _BEFORE.search(near)
        or _SUPPOSED.search(before)
        or _CHINESE.match(sentence, start)
    ):
        return True
    if _RATIO_OF.search(before) and re.search(r":| to ", sentence[start : ends[0]]) is None:
        return True
    return any(_is_bounded_behind(sentence, start, end) for end in {*ends})


def _is_bounded_behind(sentence: str, start: int, end: int) -> bool:
    text = sentence[start:end]
    # "Ann is 10 years older than Ben" says how much, "10 more than Ben" does not
    compared = _COMPARED.match(sentence, end)
    if compared and (compared[1] is None or not sentence[:start].strip("$ ")):
        return True
    ordinal = _LETTERS_OF_ORDINAL.search(text) and sentence[end : end + 2].strip().isalpha()
    hyphen = text.endswith(("-", "‐", "‑")) and sentence[end : end + 1].isalpha()
    if (
        ordinal
        or hyphen
        or _ORDINAL.match(sentence, end)
        or _RATE.match(sentence, end)
        or _is_fact(text, sentence, end)
    ):
        return True
    if _WHEN.match(sentence, end) and _EXTREME.search(sentence, 0, start):
        return False
    return bool(_BEHIND.match(sentence, end) or _SECOND.match(sentence, end) or _LOSS.fullmatch(text.strip(" .")))


def _is_fact(number: str, sentence: str, end: int) -> bool:
    """Whether a number only says how many of one unit another has: "24 hours in a day"."""
    digits, match = re.match(r"\d+(?:\.\d+)?", number), _IN_ONE.match(sentence, end)
    units = (read_unit(match[1]), read_unit(match[2])) if match else (None, None)
    if digits is None or units[0] is None or units[1] is None or units[0].dimension != units[1].dimension:
        return False
    return Fraction(digits[0]) * units[0].factor == units[1].factor


def states_nothing(sentence: str) -> bool:
    """Whether a sentence repeats what is given, breaks off, or says that there is no answer."""
    return _NOTHING.search(sentence) is not None or _CUT_OFF.search(sentence) is not None
