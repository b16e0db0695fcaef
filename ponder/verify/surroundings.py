"""Whether a box is all that its sentence states: what stands before it, what it holds and what stands behind it in, a
reason or None out.

A box says by itself what the answer is. Its surroundings take that back only where they change the value: a term that
it is a part of ("3\\sqrt{\\boxed{12}}", "\\boxed{12} million"), another value beside it ("\\boxed{9} or 10"), a limit,
a denial, a supposition. What repeats the value ("5/4, or \\boxed{1.25}") and what is compared with it ("\\boxed{10}
more than Ann") leave it what it is, and the modulus of a congruence belongs to both sides of it.
"""

import re
from fractions import Fraction

from ponder.maths.equality import equal
from ponder.maths.reader import read, read_measure
from ponder.maths.tree import TooLarge, Unreadable
from ponder.maths.units import read_unit
from ponder.maths.values import Undefined
from ponder.maths.words import number_word

__all__ = ["modulus_of", "why_no_answer"]

_MAX_CHARS = 400
_NEAR_CHARS = 80
"""Before a box, where a limit, a denial or a supposition of it stands."""
_TERM_CHARS = 40
"""Before a box, where the term ends that goes on with it."""
_BREAK = re.compile(r"\n|\\\\|(?<=[.!?。！？])\s+(?=[A-Z*\"“(\\$\[])|(?<=[a-z]{3}[.!])\s+\Z|(?<=[。！？])|&")
_ALONE = re.compile(r"(?:[\s$]|\\[(\[]|\*\*)*")
_ALONE_BEHIND = re.compile(r"(?:[ \t$.]|\\[)\]]|\*\*)*(?:\Z|\n)")
"""A box that has its line to itself."""
_EQUALS = re.compile(
    r"(?<![<>])(?<![^\d)}]!)(?:=|≈)(?!>)|\\(?:approx|in|implies|iff|Rightarrow|Longrightarrow|Leftrightarrow"
    r"|rightarrow|to"
    r"|therefore)(?![a-zA-Z])|[→⇒∴∈]|\\q?quad(?![a-zA-Z])|[:：](?![ ]?\d)\s*"
)
_LOOKS = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|large|Large|huge|Huge|bf|bm|\s)(?![a-zA-Z])"
    r"|\\(?:begin|end)\{[a-z]+\*?\}|~~|\{\}"
)
_THIN = re.compile(r"\\[,;:!]")
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_WRAPPER = re.compile(r"\\(?:text|textbf|mathbf|boldsymbol|bm|mathrm|bold|underline|color\{\w+\}|textcolor\{\w+\})\s*$")
_MARKS = re.compile(r"\$|\\[()\[\]]|\*\*|`")
_ARTICLE = re.compile(r"(?:(?<=[A-Za-z] )|(?<=^))[Aa]n?[ ]+(?:\$+|\\\()?\s*$|\b[Aa]n?[ ]+(?:\$+|\\\()\s*$")
_CHOICE = re.compile(r"\\text(?:bf)?\s*\{\s*\(?[A-J]\)?\s*\}|\([A-J]\)|[A-J]")
_OPTION = re.compile(r"\s+[\d$(]")
_PART_BEFORE = re.compile(
    r"(?:[+×·*/^_<>≤≥≠√|]|[-−](?=$)|(?<=[\d)}$])\s[-−–]\s|\d|(?<![a-zA-Z'’])[a-zA-Z](?<![AI]))\s?$"
    r"|\\(?:cdot|times|div|sqrt|pm|mp|neq?|leq?|geq?|lt|gt|mid|frac|log|ln|lg|sin|cos|tan|exp)\s*$|\d[.,:]$"
    r"|\d\s*:\s*$|\b(?:minus|negative|times|plus)\s+$"
)
_PART_BEHIND = re.compile(
    r"\s?(?:\^(?!\s*\{?\s*(?:\\circ|(?:st|nd|rd|th)\b))|[+×·*/_!<>≤≥√|‰'′∶]|[-−]\s?[\d\\a-z]|[.,:]\d|\{,\}\d|\d{3}(?!\d))|\d|(?!(?:st|nd"
    r"|rd|th)\b)[a-zA-Z]"
    r"|\s*\\(?:pi|sqrt|cdot|times|div|frac|p?mod|bmod|pm|mp|neq?|leq?|geq?|lt|gt|mid|infty|binom|log|ln|sin|cos|tan)"
    r"(?![a-zA-Z])"
    r"|\s*\(?\s*(?:mod|choose|remainder|with (?:a )?remainder|plus|minus|squared|cubed|factorial|or more|or less"
    r"|or so|at least"
    r"|at most|to the power|versus|vs|hundred|thousand|million|billion|trillion|in base|halves|thirds|tenths"
    r"|over \d+|divided by)\b"
    r"|\s*times\s+(?:the|[\d\\$(]|[a-z]\b(?<!a))|\s+(?:\w+\s+)?(?:less|more"
    r"|fewer)\s+than\s+(?:[-\d\\$(][\d.,}$]*(?!\s*[A-Za-z\d.,}$])|[a-z]\b(?<!a)|twice|half)"
    r"|[^.\n]{0,12}\b(?:below|short of|under par|in the red)\b|\s+and a (?:half|third|quarter)\b"
    r"|\s*(?:,|or\b|and\b)\s*[A-J](?=\W*$)|\s+for\s+\w+\s+and\s+\d"
)
_EXCLAIMED = re.compile(r"(?:\$|\\\)|\*\*)*!+(?:\*\*)?(?:\s|\Z)")
_FACTORIAL = re.compile(r"!|factorial|permut|arrang|ways|\bn\b", re.IGNORECASE)
_IN_BASE = re.compile(r"[\s$]*\(?\s*in\s+(?:base[\s$]+(\d+|[a-z]+)\b|(decimal|octal|binary)\b)", re.IGNORECASE)
_BASE = re.compile(r"_\s*\{?\s*(?:\\text\s*\{)?\s*(\d+|[a-z]+)[\s}]*$", re.IGNORECASE)
_BASES = {"decimal": 10, "octal": 8, "binary": 2}
_TWO_UNITS = re.compile(r"\s*(?!in\b)([a-zA-Z]{1,8})\.?,?\s+(?:and\s+)?\d")
_ITEM = re.compile(r"\s*[-*+•–—→>]\s")
_RATIO = re.compile(r"[\d}]\s*[:∶]\s*$")
_LIMITED = re.compile(
    r"\b(?:at least|at most|less than|more than|fewer than|greater than|larger than|smaller than"
    r"|(?<!add )(?<!adds )(?<!added )(?<!adding )up to|over|under|above"
    r"|below|almost|nearly|close(?:r)? to|near|between|exceeds?|(?:half|twice|thrice|double|triple|third"
    r"|quarter)(?: of)?)\W*$"
    r"|(?:至少|至多|最多|最少|超过|不到|不足|大于|小于|高于|低于|不是|不等于|不为|并非|不可能是)\s*$"
)
"""In small letters, as all that is looked for before a box."""
_EXTREME = re.compile(
    r"\b(?:can|could|able to|possible)\b[^.,;]{0,40}\bat most\W*$"
    r"|\b(?:must|needs?|required?s?|has to|have to|takes)\b[^.,;]{0,40}\bat least\W*$"
)
"""A limit that is what was asked for: the most that can be had, the least that is needed."""
_DENIED = re.compile(
    r"(?:\b(?:not|never|neither|nor|cannot|instead of|rather than|unlike|than|other than|anything but"
    r"|different from)|n['’]t)"
    r"\s+(?:(?:be|just|only|simply|really|equal(?: to)?)\s+)*$"
)
_SUPPOSED = re.compile(
    r"\b(?:(?:(?<!only )if|unless|suppose|assume|example|e\.g\.|template"
    r"|(?:(?<!required )(?<!requested )(?<!desired )format|format(?! is\b))|might think|previous answer"
    r"|(?:wrong|incorrect|mistaken) answer|mistake|student(?: \w)?(?:['’]s)? (?:wrote|answer\w*|got))[^.,;]{0,25}"
    r"|(?:(?:wrong|false|incorrect|untrue|not true|n['’]t true) (?:to \w+ )?that|claims? that|(?:would"
    r"|might) (?:claim|say))\b[^.,;:\n]{0,40}"
    r"|maybe |perhaps |possibly |(?:could|might|may) be |from "
    r"|(?:negative|opposite|reciprocal|root|square|cube|half|multiple|divisor|factor) of |number (?:before|after) )"
    r"\W{0,3}$"
)
_REFUTED = re.compile(
    r"^(?!\W*(?:(?:since|because|as) )?the (?:other|remaining) (?:value|root|solution|one)s? )"
    r"[^.\n]{0,25}\b(?<!who )(?:is|was|(?<!that )are|seems|looks)\s+(?:\w+\s+)?(?:wrong|incorrect|false"
    r"|not|impossible|mistaken|rejected)\b"
    r"|^\s*[?？]|^\W{0,6}(?:wrong|incorrect)\b|^[^.\n]{0,25}\b(?:does(?:n['’]t| not)(?! depend\b)|fails)\b"
    r"|^[^.\n]{0,12}\b(?:format|template)\b|^[^.\n]{0,25}\bthe template\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"\s*%\s*")
_CONNECTIVE = r"(?:[,，、;；]|[,，]?\s*(?:\b(?:or|and|to|through)\b|或者?|和|及|与))"
_NAMED = r"(?:([A-Za-z])(?:_\{?\w\}?)?\s*(?:=|\\in(?![a-z])|∈)\s*)?"
_JOINED_BEFORE = re.compile(rf"(.*\S)\s*({_CONNECTIVE})\s*{_NAMED}$", re.DOTALL)
_JOINED_BEHIND = re.compile(rf"\s*{_CONNECTIVE}\s*{_NAMED}(?=[-−$\\(\[\d])", re.DOTALL)
_WORDS = re.compile(r"(?<![\\A-Za-z{{])(?!(?:or|and|sqrt|pi|sin|cos|tan|log|ln|infty)\b)[A-Za-z]{2,}|[\u3400-\u9fff]+")
_ADJUNCT = re.compile(
    r"\b(?:in|after|for|by|at|when|with|since|because|on|from|of|if|where)(?:\s+(?:the|these|those|all))?\s*$",
    re.IGNORECASE,
)
_TAKEN_TO = re.compile(
    r"\b(?:takes?|maps?|sends?|rounds?|converts?|changes?|turns?|brings?|simplif(?:y|ies)|reduces?|evaluates?)\b[^.;:]*$"
)
"""What comes to something: "T takes (1, 2) to \\boxed{(3, 4)}"."""
_CONGRUENT = re.compile(r"(?:\\equiv(?![a-zA-Z])|≡)\s*$")
_MODULUS = re.compile(
    r"[ \t]{0,3}\$?[ \t]{0,3}(?:\\pmod\s*(?:\{[^{}]+\}|\w)|\(\s*(?:\\?mod|\\text\s*\{\s*mod\s*\})\s*[^()\n]{1,20}\))"
)


def why_no_answer(before: str, content: str, behind: str) -> str | None:
    """Why the box of `content` between `before` and `behind` is no answer by itself, or None."""
    if _ALONE.fullmatch(before, before.rfind("\n") + 1) and _ALONE_BEHIND.match(behind):
        return None
    left = _BREAK.split(before[max(len(before) - _MAX_CHARS, before.rfind("\n") + 1) :])[-1]
    right = _BREAK.split(behind[:_MAX_CHARS], maxsplit=1)[0]
    if _inside_of_more(left):
        return "the box is a part of a larger term"
    if _COMMENT.fullmatch(left):
        return "the box stands in a comment"
    modulus = modulus_of(before, behind)
    item = _ITEM.fullmatch(left) is not None
    left, right = _plain(_ARTICLE.sub("", left)), _plain(right[len(modulus) :])
    if modulus:
        left = _CONGRUENT.sub("=", left)
    near = left[-_NEAR_CHARS:].lower()
    if (near and _SUPPOSED.search(near)) or _REFUTED.match(right) or left.endswith("~~"):
        return "the sentence of the box does not state it"
    if (_LIMITED.search(near) and not _EXTREME.search(near)) or _DENIED.search(near):
        return "the sentence of the box limits or denies it"
    if _CHOICE.fullmatch(content.strip()) and _OPTION.match(right):
        right = ""  # the text of an option may follow its letter
    base = _IN_BASE.match(right)
    if base is not None and _is_base_of(content, base[1] or base[2]):
        right = right[base.end() :]
    if right.startswith("!") and _is_exclaimed(before, left, behind):
        right = right[1:]
    if _is_part(left, right, item):
        return "the box is a part of a larger term"
    return "another value stands beside the box" if _is_joined(left, content, right) else None


def _is_base_of(content: str, said: str) -> bool:
    """Whether the base that is said behind a box says no more than the box: its own one, or ten."""
    base = _number(said)
    written = _BASE.search(content)
    return base is not None and base == (_number(written[1]) if written else 10)


def _number(text: str) -> Fraction | int | None:
    return int(text) if text.isdecimal() else _BASES.get(text.lower()) or number_word(text.lower())


def _is_exclaimed(before: str, left: str, behind: str) -> bool:
    """Whether the sign behind a box ends its sentence rather than being a factorial: it stands outside of the formula,
    and nothing before it speaks of factorials."""
    line = before[before.rfind("\n") + 1 :]
    inside = line.replace("\\$", "").count("$") % 2 > 0 or line.count("\\(") > line.count("\\)")
    closed = not inside or behind.startswith(("$", "\\)"))
    return closed and _EXCLAIMED.match(behind) is not None and _FACTORIAL.search(left) is None


def modulus_of(before: str, behind: str) -> str:
    """The modulus behind the box of a congruence, as it stands there, or ""."""
    modulus = _MODULUS.match(behind)
    return modulus[0] if modulus and _CONGRUENT.search(_plain(before[-_MAX_CHARS:])) else ""


def _is_part(left: str, right: str, item: bool) -> bool:
    """Whether a term goes on before or behind the box, which may be an `item` of a list."""
    near = _EQUALS.split(left)[-1]
    opened, closing = near.rstrip()[-1:], right.lstrip()[:1]
    if opened and opened in "([":
        if closing != {"(": ")", "[": "]"}[opened]:
            return True
        near, right = near.rstrip()[:-1], right.lstrip()[1:]
    units = _TWO_UNITS.match(right)
    return bool(
        _RATIO.search(left)
        or (not item and _PART_BEFORE.search(near, max(0, len(near.rstrip()) - _TERM_CHARS)))
        or _PART_BEHIND.match(right)
        or (units and read_unit(units[1]) is not None)
    )


def _is_joined(left: str, content: str, right: str) -> bool:
    """Whether a value other than the box's stands right beside it in a list."""
    ahead, behind = _JOINED_BEFORE.fullmatch(left), _JOINED_BEHIND.match(right)
    if ahead is not None:
        listed, joined, name = ahead.groups()
        start = max((word.end() for word in _WORDS.finditer(listed)), default=0)
        value = listed[start:]
        comma = joined.strip() in (",", "，")
        if name is not None:  # "360 + 2x = 600, or x = 120" is no list, "x = 10 or x = 9" is one
            beside = (comma or "=" in value) and re.search(rf"(?<!\w){name}(?:_\{{?\w\}}?)?\s*=", value) is None
        else:
            beside = comma and _ADJUNCT.search(listed[:start]) is not None
            beside = beside or (joined.strip() == "to" and _TAKEN_TO.search(listed) is not None)
        if _holds_a_value(value) and not beside and not _same(content, value):
            return True
    if behind is None:
        return False
    value = _WORDS.split(right[behind.end() :], maxsplit=1)[0].rstrip(" .,;:")
    return _holds_a_value(value) and not _same(content, value)


def _holds_a_value(text: str) -> bool:
    return re.search(r"\d|\\(?:pi|infty|sqrt|frac)", text) is not None


def _same(content: str, value: str) -> bool:
    try:
        measure = read_measure(value)  # "2.25 m"
        return equal(read(content), read(value) if measure is None else measure.value)
    except (Unreadable, TooLarge, Undefined):
        return False


def _plain(text: str) -> str:
    text = _THIN.sub("", text)
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
