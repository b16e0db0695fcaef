"""What in a sentence keeps a number from being the value that it states: limits, denials, conditions, names of things.

A sentence and the place of a mention in, True or False out.
"""

import re
from fractions import Fraction

from ponder.maths.units import read_unit

__all__ = ["is_bounded", "is_limit", "may_end", "states_nothing", "words_before"]

_NEAREST_CHARS = 36
"""Before a number; as long as the longest of `_BEFORE`."""
_NEAR_CHARS = 80
"""Before a number; what bears on it stands nearer."""
_FRACTIONS = r"(?:half|thirds?|quarters?|fifths?|tenths?)"
_OF = (
    r"multiple|factor|divisor|square|cube|square root|root|power|negative|opposite|reciprocal|inverse|loss|debt|deficit"
    r"|decrease|drop|each|none|zero|some|most|many|all"
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_BEFORE = re.compile(
    rf"(?:\b(?:{_FRACTIONS}(?: of(?: the)?)?|twice|thrice|double|triple|\w+ times"
    r"|at least|at most|less than|more than|fewer than|greater than|(?<!add )(?<!adds )(?<!added )(?<!adding )up to"
    r"|no more than|no less than|over|under"
    r"|above|below|almost|nearly|(?<!only )if|unless|maybe|perhaps|possibly|probably|might be|could be|between"
    r"|(?<!factors )(?<!factored )(?<!expressed )(?<!written )as"
    rf"|(?:{_OF}) of(?: the)?"
    r"|divisible by|(?:(?:one|once) in|(?:one|two|three|four|five|six) out of)(?: every| the)?"
    r"|exceeds?|anything but|different from|(?:not|n't) equal(?: to)?"
    r"|(?:in addition to|apart from|besides|except(?: for)?)(?: the)?"
    r"|close to|closer to|far from|no longer|contains?|containing|including"
    r"|such as|e\.g\.|near|depends on|see|cf\.|(?:ignore|disregard)(?: the)?|(?:is|are|was|were) no"
    r"|ends in|ending in|starting with|coprime to|prime to|base"
    r"|owes?|owed|lost|is down|composed of|all his|digits of"
    r"|by adding|number (?:before|after|with|of digits)|obtained in|found in"
    r"|step|day|week|level|round|case|chapter|theorem|example|lemma|figure|formula|option|page|line|room|bus|exercise"
    rf"|every|has no|(?:has|wears|wearing) (?:the )?number|(?:\w+n['’]t|not) have|(?<!able )to have"
    rf"|{_MONTHS.lower()})\s+(?:a\s+)?"
    r"|至少|至多|最多|最少|超过|不到|不足|大于|小于|高于|低于)$"
)
"""In small letters."""
_ENDS_BEFORE = (
    "half", "third", "thirds", "quarter", "quarters", "fifth", "fifths", "tenth", "tenths", "of", "the", "twice",
    "thrice", "double", "triple", "times", "least", "most", "than", "to", "over", "under", "above", "below", "almost",
    "nearly", "if", "unless", "maybe", "perhaps", "possibly", "probably", "be", "between", "as", "by", "exceed",
    "exceeds", "but", "from", "equal", "besides", "except", "for", "longer", "contain", "contains", "containing",
    "including", "e.g.", "near", "on", "see", "cf.", "ignore", "disregard", "no", "in", "with", "base", "owe", "owes",
    "owed", "lost", "down", "his", "adding", "before", "after", "digits", "step", "day", "week", "level", "round",
    "case", "chapter", "theorem", "example", "lemma", "figure", "formula", "option", "page", "line", "room", "bus",
    "exercise", "every", "number", "not", "n't", "n’t", "have", *_MONTHS.lower().split("|"), " a",
)  # fmt: skip
"""With one of them ends what is found, but for the Chinese."""
_LIMIT = re.compile(
    r"\b(?:at least|at most|no more than|no less than|up to)\W*$|(?:至少|至多|最多|最少)\s*$", re.IGNORECASE
)
_ASKED_LIMIT = re.compile(
    r"\b(?:can|could|able|possible|must|needs?|required?s?|has to|have to|takes?)\b"
    r"|能|可以|需要?|必须",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:(?<!only )if|unless|initially|originally|previously|used to|already|yesterday|wanted|should have had"
    r"|impossible)\b[^,.;:]*$"
)
"""In small letters."""
_IN_SUPPOSED = ("if", "unless", "ly", "used to", "already", "yesterday", "wanted", "had", "impossible")
"""One of them is in what supposes."""
_BEHIND = re.compile(
    r"\s*\(?\s*mod\b|\s*,?\s+(?:is|are|was)\s+"
    r"(?:wrong|incorrect|false|not|too|rejected|extraneous|impossible|a contradiction|likely|possible|plausible)\b"
    r"|\s*,?\s+(?:does(?:n['’]t| not)|did(?:n['’]t| not)|fails?\b|it fails)|\s*[:：]\s*no\b|\s*[-‐‑](?=[A-Za-z])"
    r"|\s*(?:,\s*)?(?:if|when|unless|provided|where)\b|\s*(?:如果|当)"
    r"|\s*,?\s+(?:(?:would|might|could) (?:be|have been)|cannot|can not|can['’]t|could not|couldn['’]t)\b"
    r"|\s*(?:[A-Za-z°]{1,12}\s+){0,2}?(?:below\b|short of|short\b(?=\W*$)|off\b(?=\W*$)|under par|less\s+(?=\d)"
    r"|(?:older|younger|shorter|taller|colder"
    r"|warmer|larger|smaller|fewer|less)(?=\W*$)|at least\b|at most\b"
    r"|in the red|in base(?! (?:10|ten)\b))"
    rf"|\s+(?:plus|minus|choose|remainder|with a remainder|to the power|vs\.?|versus|{_MONTHS})(?:\s|\W*$)"
    r"|\s+(?:doubled|tripled|halved|(?:increased|decreased|reduced|multiplied|divided|raised) (?:by|to))\b"
    r"|\s*,?\s+(?:for instance|for example|etc\b|and so on|among others)|\s+(?:[a-z]+\s+)?per\s+\d"
    r"|\s+(?:\w+\s+){0,2}?times\s+(?:as|the|[a-z]\b)"
    r"|[\"”'’`]?\s+(?:[A-Za-z]{1,12}\s+)?(?i:not|never|nope|wrong|incorrect|false)\W*$"
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
_DIGITS = re.compile(r"\d+(?:\.\d+)?")
_IN_ONE = re.compile(r"\s*([A-Za-z]+) (?:in|to|per|make) (?:a|an|one|each|every|the) ([A-Za-z]+)\b")
_CHINESE = re.compile(
    r"[-\d./]+\s*(?:分之|的(?:平方|立方|一半|倍|\d)|以[上下内]|点半|个半|又|(?P<smaller>(?:小时|分钟?|元|米|公斤|千克|点)\s*\d))"
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b\s+[a-z]")
_LETTERS_OF_ORDINAL = re.compile(r"\d(?:st|nd|rd|th)$")
_OR_MORE = re.compile(r"\d\s?\+\s*$")
"""The sign behind "40+ people"."""
_SECOND = re.compile(
    r"\s+(?:for\s+(?!every|each|the|all|these|those|his|her|their)|(?!because|since|as|after|when|if|from|with|in|on"
    r"|at|by|per|over|out|of|for|and|or"
    r"|times|to|is"
    r"|are|was)(?=[a-z]))[A-Za-z]+\.?(?:\s*=\s*\d+)?(?:,\s*|\s+(?:and|vs\.?)\s+|\s+)(?:\$)?\d"
)
_LOSS = re.compile(r"\(\s*\\?\$[\d.,]+\s*\)")
_LEFT = r"(?:(?:still |only |just |now |then )*(?:need|have|must|want|remains)(?: only| just)?(?: to)? )"
_STEP = r"(?:add|subtract|multiply|divid|plug|substitut|comput|calculat|evaluat|simplify)\w*"
_NO_RESULT = (
    r"(?![^=]*\b(?:get|gets|gives?|giving|yields?|yielding|makes?|making|obtain|find|is|are|equals?|leaves?|leaving"
    r"|total(?:s|ing)?|result(?:s|ing)?|remain(?:s|ing)?|left|ends?|have|has|so|thus|hence|therefore|which)\b)[^=:]*$"
)
"""A step that is left to be done, of which no result is told."""
_NOTHING_FROM_THE_START = (
    # what is given, asked or supposed
    r"(?:\d+\.)?\W*(?:given|assume|note|time limit|we know|(?:we|i|you) (?:are|were) given|it is given|problem)\b",
    r"(?:\d+\.)?\W*the (?:problem|question) says\b",
    r"(?:已知|题目(?:给出|说|中)|首先|第[一二三四五六\d]步)",
    r"(?:\d+\.)?\W*(?:imagine|for the sake of argument|for \w = \d+ it)\b|assuming (?:that )?the answer\b",
    # what is not known
    r"(?:\d+\.)?\W*(?:unfortunately|sorry|i (?:do not|don['’]t) know|i cannot|i am unable)\b",
    # a step, after which something is left to do
    rf"(?:(?:so|then|next|now|first|finally|lastly|to finish),?\s*)?(?:(?:we|i) (?:{_LEFT})?)?"
    rf"(?:add|subtract|multiply|divide|plug|substitute)\b{_NO_RESULT}",
    rf"(?:(?:so|then|next|now|finally|lastly),?\s*)?(?:we|i|it) {_LEFT}{_STEP}\b{_NO_RESULT}",
    rf"(?:finally|lastly|next|then),?\s*{_STEP}\b{_NO_RESULT}",
    r"(?:first|firstly|to begin|to start)\b",
    # a thing with a number
    r"(?:flight|gate|platform|seat|highway|route|apartment|house|problem|question|grade|player|channel|train) \d",
)
_NOTHING_ANYWHERE: tuple[tuple[tuple[str, ...], str], ...] = (
    # what is given or asked
    (("given", "told"), r"(?:(?:is|are|was|were) |['’]re )(?:also )?(?:given|told)\b"),
    (("supposed to",), r"supposed to\b"),
    (("either ", "depending on"), r"either [^.\d]{0,20}\d[^.]*\bor\b|depending on\b"),
    (
        ("the problem", "the question", "the statement", "the exercise", "the task", "the text"),
        r"the (?:problem|question|statement|exercise|task|text) (?:gives|says|states|tells|mentions|asks)\b",
    ),
    (("look", "search"), r"(?:we|i) (?:look|are looking|search) for\b"),
    (("we want", "we seek", "whether"), r"we (?:want|seek)\b|whether\b"),
    # what is supposed, claimed or guessed
    (("says", "thinks", "believes", "guesses"), r"(?:says|thinks|believes|guesses) (?:that|the answer|it)\b"),
    (
        ("say", "think", "guess", "answer", "claim", "argue", "believe", "assume"),
        r"(?:would|might|may|could) (?:say|think|guess|answer|claim|argue|believe|assume)\b|guess was\b|claim\b"
        r"|not (?:think|believe)\b"
        r"|(?:(?<!\d )(?:people|students)|many|some|others|most)(?: often| usually| commonly)?"
        r" (?:answer|say|think|guess|believe)\b"
        r"|(?:people|students) (?:answer|say|think|guess|believe)(?: that)?"
        r" (?:the (?:answer|result|value|total)|it|[\d$])",
    ),
    (("at first ",), r"at first (?:glance|sight)\b"),
    (
        ("naive", "careless", "tempt", "mistaken", "wrong", "incorrect"),
        r"(?:naive|careless|tempting|tempted|mistaken|(?:wrong|incorrect) answer)\b",
    ),
    (("mistake", "error"), r"(?:common|typical|frequent|usual) (?:mistake|error)\b"),
    (
        ("'s ", "’s "),
        r"(?!(?:problem|question|exercise|today|that|it|let|here)['’])\w+['’]s"
        r" (?:first |own )?(?:answer|guess|solution)\b",
    ),
    (
        ("answered", "replied", "wrote", "responded"),
        r"(?:answered|replied|wrote|responded) \W{0,3}\d[\d.,]*(?: here| there)?[.!]?$",
    ),
    # what is denied
    (
        ("wrong", "incorrect", "false", "mistaken"),
        r"(?:is|was|are) (?:\w+ )?(?:wrong|incorrect|false|mistaken)[.!]?$"
        r"|(?:he|she|they|it|that|this|which) (?:is|was|are|were) (?:\w+ )?(?:wrong|mistaken|incorrect)\b"
        r"|(?:false|wrong) (?:statement|assertion)\b",
    ),
    (("false that", "true that", "refuted"), r"(?:false|untrue|not true) that\b|refuted\b"),
    (
        ("extraneous", "rejected", "discarded", "ruled out", "fail", "contradiction", "typo"),
        r"(?:extraneous|rejected|discarded|ruled out|it fails|which (?:fails|failed)|contradiction|typo)\b",
    ),
    # what is not known
    (
        ("not sure", "not certain", "cannot ", "known so far"),
        r"not (?:sure|certain)\b|cannot (?:determine|be determined|find|solve)\b|known so far\b",
    ),
    (("not solve", "t solve"), r"(?:can['’]t|could not) solve\b"),
    (
        ("not unique", "not enough", "undefined", "depends on", "impossible to", "wait,"),
        r"(?:not unique|not enough|undefined|depends on|impossible to)\b|wait,",
    ),
    # a step, after which something is left to do
    (("which we", "which i", "which you"), r"which (?:we|i|you) (?:need|have|must|then|now)\b"),
    (
        (" us ", " me ", " you "),
        rf"(?:allow|enable|help|let)s? (?:us|me|you) (?:to )?(?:{_STEP}|find|determine)\b{_NO_RESULT}",
    ),
    (
        ("step", "thing", "task"),
        rf"(?:next|last|final|only|remaining) (?:step|thing|task)(?: left| remaining)? is (?:to )?{_STEP}",
    ),
    (
        ("twice ", "double ", "half ", "triple "),
        r"(?:twice|double|half|triple) (?:of )?(?:this|that|it|these)\b|(?:half|twice|double|triple) the answer\b",
    ),
    (("nothing", "none", "no "), r"(?:nothing|none|no \w+) (?:is |are )?(?:left|remain\w*)\b"),
    # what is said of the answer
    (
        ("the answer ", "of the answer"),
        r"of the answer\b|the answer (?:squared|cubed|ends|contains|rounds|has|plus|minus|times|divided)\b",
    ),
    # a denial that is joined to its word, and Chinese
    (("n't ", "n’t "), r"(?<=\w)['’]t (?:think|believe|true that|know|sure|certain)\b"),
)
"""What says, in small letters, that no value is stated, with words of which one is in it: to look for these first is
much quicker."""
_NOTHING_AT_ANY_SIGN = re.compile(r",\s*no[.!]?$|\((?:\w+ )?(?:wrong|incorrect|false)\b|不能确定|无法确定").search
_SIGNS_OF_NOTHING = (", no", ",no", "(", "不能确定", "无法确定")
_NOTHING_FROM_THE_START_ON = re.compile(rf"\W*(?:{'|'.join(_NOTHING_FROM_THE_START)})").match
_SAYING_NOTHING = tuple((words, re.compile(rf"\b(?:{pattern})").search) for words, pattern in _NOTHING_ANYWHERE)
_CUT_OFF = re.compile(
    r"\b(?:and|or|then|by|the|a|of|with|to|if|so|holds|away|an|his|her|their)\s*$|,\s*$|(?:[-+/=×÷^(]|(?<=\s)\*"
    r"|\\(?:cdot|times|div|frac))\s*\$?\s*$"
)
_ENDS_CUT_OFF = (
    "and", "or", "then", "by", "the", "a", "of", "with", "to", "if", "so", "holds", "away", "an", "his", "her", "their",
    ",", "-", "+", "/", "=", "×", "÷", "^", "(", "*", "cdot", "times", "div", "frac",
)  # fmt: skip


def is_limit(sentence: str, start: int) -> bool:
    """Whether what bounds the number at `start` is a least or a most that was asked for: what can be had at most."""
    before = words_before(sentence, start)
    return _LIMIT.search(before) is not None and _ASKED_LIMIT.search(before) is not None


def words_before(sentence: str, start: int) -> str:
    """What stands right before a place in a sentence."""
    return sentence[max(0, start - _NEAR_CHARS) : start]


def is_bounded(sentence: str, start: int, end: int, without_unit: int | None = None) -> bool:
    """Whether the number from `start` on is a limit, denied, supposed, a name, or one of two parts. A unit may belong
    to it, or not."""
    before = words_before(sentence, start).rstrip("$ ").lower()
    near = before[-_NEAREST_CHARS:]
    if (
        (may_end(near, _ENDS_BEFORE) and _BEFORE.search(f"{near} "))
        or (not near.isascii() and _BEFORE.search(near))
        or (any(map(before.__contains__, _IN_SUPPOSED)) and _SUPPOSED.search(before))
        or (not sentence.isascii() and _is_part_in_chinese(sentence, start, end))
    ):
        return True
    if "ratio" in before and _RATIO_OF.search(before) and re.search(r":| to ", sentence[start:end]) is None:
        return True
    if without_unit not in (None, end) and _is_bounded_behind(sentence, start, without_unit):
        return True
    return _is_bounded_behind(sentence, start, end)


def _is_part_in_chinese(sentence: str, start: int, end: int) -> bool:
    """Whether more belongs to a number: "3分之2", "3小时20分", unless that is a part of the mention already."""
    match = _CHINESE.match(sentence, start)
    return match is not None and (match["smaller"] is None or match.end() > end)


def may_end(text: str, ends: tuple[str, ...]) -> bool:
    """Whether a text ends in one of some words, which is a quick look before a pattern is tried."""
    return text.rstrip().lower().endswith(ends)


def _is_bounded_behind(sentence: str, start: int, end: int) -> bool:
    text = sentence[start:end]
    if not sentence[end:].strip(" .!"):  # the end of the sentence
        more = "+" in text and _OR_MORE.search(text)
        return bool(more or ("(" in text and _LOSS.fullmatch(text.strip(" ."))))
    # "Ann is 10 years older than Ben" says how much, "10 more than Ben" does not
    compared = _COMPARED.match(sentence, end)
    if compared and (compared[1] is None or not sentence[:start].strip("$ ")):
        return True
    ordinal = text[-1:].isalpha() and _LETTERS_OF_ORDINAL.search(text) and sentence[end : end + 2].strip().isalpha()
    hyphen = text.endswith(("-", "‐", "‑")) and sentence[end : end + 1].isalpha()
    if (
        ordinal
        or ("+" in text and _OR_MORE.search(text))
        or hyphen
        or _ORDINAL.match(sentence, end)
        or _RATE.match(sentence, end)
        or _is_fact(text, sentence, end)
    ):
        return True
    if _WHEN.match(sentence, end) and _EXTREME.search(sentence, 0, start):
        return False
    return bool(
        _BEHIND.match(sentence, end)
        or _SECOND.match(sentence, end)
        or ("(" in text and _LOSS.fullmatch(text.strip(" .")))
    )


def _is_fact(number: str, sentence: str, end: int) -> bool:
    """Whether a number only says how many of one unit another has: "24 hours in a day"."""
    match = _IN_ONE.match(sentence, end)
    digits = _DIGITS.match(number) if match else None
    units = (read_unit(match[1]), read_unit(match[2])) if match else (None, None)
    if digits is None or units[0] is None or units[1] is None or units[0].dimension != units[1].dimension:
        return False
    return Fraction(digits[0]) * units[0].factor == units[1].factor


def states_nothing(sentence: str) -> bool:
    """Whether a sentence repeats what is given, breaks off, or says that there is no answer."""
    small = sentence.lower()
    if _NOTHING_FROM_THE_START_ON(small):
        return True
    for words, found in _SAYING_NOTHING:
        for word in words:
            if word in small:
                if found(small):
                    return True
                break
    if any(map(small.__contains__, _SIGNS_OF_NOTHING)) and _NOTHING_AT_ANY_SIGN(small):
        return True
    return may_end(small.rstrip("$ "), _ENDS_CUT_OFF) and _CUT_OFF.search(small[-_NEAREST_CHARS:]) is not None
