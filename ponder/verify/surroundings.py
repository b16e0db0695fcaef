"""Whether a box is the whole of what its sentence states: what stands before and behind it in, a reason or None out.

A box is read like any other mention: a number stands in its place, and the sentence must then mention that number, not
a term that it is a part of ("3\\sqrt{\\boxed{12}}", "\\boxed{12} million", "\\boxed{9} or 10") nor something denied.
"""

import re

from ponder.maths.units import read_unit
from ponder.verify.mentions import mentions

__all__ = ["why_no_answer"]

_MAX_CHARS = 400
_BREAK = re.compile(r"\n|\\\\|(?<=[.!?。！？])\s+(?=[A-Z*\"“(\\$\[])|(?<=[。！？])|&")
_EQUALS = re.compile(
    r"(?<![<>!])(?:=|≈)(?!>)|\\(?:approx|implies|iff|Rightarrow|Longrightarrow|Leftrightarrow|rightarrow|to|therefore)"
    r"(?![a-zA-Z])|[→⇒∴]|\\q?quad(?![a-zA-Z])|[:：](?![ ]?\d)\s*"
)
_LOOKS = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|large|Large|huge|Huge|bf|bm|,|;|!|:|\s)(?![a-zA-Z])"
    r"|\\(?:begin|end)\{[a-z]+\*?\}|~~|\{\}"
)
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_WRAPPER = re.compile(r"\\(?:text|textbf|mathbf|boldsymbol|bm|mathrm|bold|underline|color\{\w+\}|textcolor\{\w+\})\s*$")
_MARKS = re.compile(r"\$|\\[()\[\]]|\*\*|`")
_PART_BEFORE = re.compile(
    r"(?:[+×·*/^_<>≤≥≠√|]|[-−](?=$)|(?<=[\d)}$])\s[-−–]\s|\d|(?<=\d)[.,:]|(?<![a-zA-Z'’])[a-zA-Z](?<![AI]))\s?$"
    r"|\\(?:cdot|times|div|sqrt|pm|mp|neq?|leq?|geq?|lt|gt|mid|frac|equiv)\s*$|\d\s*[:]\s*$"
)
_PART_BEHIND = re.compile(
    r"\s?(?:\^(?!\s*\{?\s*\\circ)|[+×·*/_!<>≤≥√|'′∶]|[-−]\s?[\d\\a-z]|[.,:]\d|\{,\}\d|\d{3}(?!\d))|\d|(?!(?:st|nd|rd|th)\b)[a-zA-Z]"
    r"|\s*\\(?:pi|sqrt|cdot|times|div|frac|p?mod|bmod|pm|mp|neq?|leq?|geq?|lt|gt|mid|infty|binom|log|ln|sin|cos|tan)"
    r"(?![a-zA-Z])"
    r"|\s*(?:mod|choose|remainder|with (?:a )?remainder|plus|minus|squared|cubed|or more|or less|at least|at most"
    r"|times\s+(?:the|as|[\d\\$(]|[a-z]\b(?<!a))|[^.\n]{0,12}\bbelow"
    r"|(?:,|or\b|and\b)\s*[A-J](?=\W*$)|hundred|thousand|million|billion|trillion|to the)\b"
)
_TWO_UNITS = re.compile(r"\s*(?!in\b)([a-zA-Z]{1,8})\.?,?\s+(?:and\s+)?\d")
_RATIO = re.compile(r"[\d}]\s*[:∶]\s*$|=\s*[-\d./]+\s+or\s+\w\s*=\s*$")
_SUPPOSED = re.compile(
    r"\b(?:(?:if|unless|suppose|assume|example|template|format|might think|previous answer"
    r"|(?:wrong|incorrect|mistaken) answer|mistake|student(?: \w)?(?:['’]s)? (?:wrote|answer\w*|got))\b[^.,;]{0,25}"
    r"|(?:could|might|may) be |from "
    r"|(?:negative|opposite|reciprocal|root|square|cube|half|multiple|divisor|factor) of )"
    r"\W{0,3}$",
    re.IGNORECASE,
)
_REFUTED = re.compile(
    r"^[^.\n]{0,25}\b(?:is|was|are|seems|looks)\s+(?:\w+\s+)?(?:wrong|incorrect|false|not|impossible|mistaken)\b|^\s*[?？]"
    r"|^[^.\n]{0,12}\b(?:format|template)\b|^[^.\n]{0,25}\bthe template\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"(?:^|\n)\s*%\s*$")
_ASIDE = re.compile(r"\s*(?:=|≈|\\approx)|,?\s+(?:when|where|provided|if)\b")
_NAMES = re.compile(r"\b(?:option|case|page|line|room|step|initially|originally|already|lost|owed?s?|every|if)\b", re.I)
"""Words before a number that may be said of another one, but not of a box."""
_STAND_INS = ("719", "683", "541")


def why_no_answer(before: str, behind: str) -> str | None:
    """Why the box between `before` and `behind` is no answer by itself, or None."""
    left = _BREAK.split(before[-_MAX_CHARS:])[-1]
    right = _BREAK.split(behind[:_MAX_CHARS], maxsplit=1)[0]
    if _inside_of_more(left):
        return "the box is a part of a larger term"
    left, right = _plain(left), _plain(right)
    near = _EQUALS.split(left)[-1]
    if _RATIO.search(left):
        return "the box is a part of a larger term"
    value = re.fullmatch(r"\s*[-*+•–—→>]\s", left) is None
    units = _TWO_UNITS.match(right)
    closing, opened = right.lstrip()[:1], near.rstrip()[-1:]
    if opened in ("(", "[") and opened:
        if closing != {"(": ")", "[": "]"}[opened]:
            return "the box is a part of a larger term"
        near, right = near.rstrip()[:-1], right.lstrip()[1:]
    if (
        (value and _PART_BEFORE.search(near))
        or _PART_BEHIND.match(right)
        or (units and read_unit(units[1]) is not None)
    ):
        return "the box is a part of a larger term"
    if _SUPPOSED.search(left) or _REFUTED.match(right) or _COMMENT.search(before) or left.endswith("~~"):
        return "the sentence of the box does not state it"
    stand_in = next(number for number in _STAND_INS if number not in left + right)
    right = re.sub(r"^(?:st|nd|rd|th)\b", "", _ASIDE.split(right, maxsplit=1)[0])
    sentence = f"{_NAMES.sub('', near)} {stand_in}{right}"
    found, asides = mentions(sentence)
    whole = rf"[$€£¥\s]*{stand_in}(?![\d.,]*\d)[^\d]*"
    own = [m for m in (*found, *asides) if re.fullmatch(whole, m.text)]
    if not own or own[-1].bounded:
        return "the sentence of the box limits, denies or goes on with it"
    return None


def _plain(text: str) -> str:
    return _MARKS.sub("", _LOOKS.sub(" ", _TEXT.sub(r" \1 ", text.replace("\\$", "$").replace("\\%", "%"))))


def _inside_of_more(left: str) -> bool:
    """Whether a group of a command is still open: a root, a fraction, an exponent."""
    opened: list[int] = []
    for match in re.finditer(r"\\.|[{}]", left, re.DOTALL):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            opened.pop()
    for start in opened:
        head = left[:start].rstrip()
        if re.search(r"[\w\]}^_]$", head) and not _WRAPPER.search(head):
            return True
    return False
