"""The value that prose states: sentences in, the text of the stated value out, or nothing where that is not plain.

A sentence is taken apart into mentions (`mentions`). Several state one value where they are equal, where one of them is
worked out in the sentence or repeats what was worked out last before it, or where the author put it in bold; what the
sentence else speaks of must then have been known before.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import islice, pairwise

from ponder.maths.equality import equal
from ponder.maths.reader import read
from ponder.maths.tree import Apply, Based, Many, Relation, Symbol, TooLarge, Tree, Unreadable, free_symbols
from ponder.maths.units import read_unit
from ponder.maths.values import Undefined, exact
from ponder.verify.doubts import is_limit, may_end, states_nothing, words_before
from ponder.verify.mentions import Mention, are_two_names, mention_key, mentions, numbers_in, works_out
from ponder.verify.numerals import numerals
from ponder.verify.sums import worked_out

__all__ = ["first_sentence", "is_one_of_two", "sentences", "stated"]

_MAX_SENTENCES = 12
"""Sentences before the last one that are looked at for what was worked out."""
_MAX_BEFORE = 4_000
"""Characters before the text that are looked at for what was known."""
_MAX_REMARKS = 6
"""Sentences without a value that may follow the one that states it."""
_MARKER = re.compile(r"[ \t]*(?:[-*+•·][ \t]+|#{1,6}[ \t]+|(\*\*)?\d{1,2}[.)][ \t]+)")
_BULLET = re.compile(r"[ \t]*(?:[-*+•·]|#{1,6})[ \t]+")
_NO_TITLE = r"(?<!Mr\..)(?<!Ms\..)(?<!Dr\..)(?<!St\..)(?<!Mrs\..)(?<!vs\..)"
_BEGINS = r"(?=[A-Z*\"“(\\$\[])"
_SENTENCE = re.compile(
    rf"[ \t](?:(?<=[.!?].){_NO_TITLE}[ \t]*{_BEGINS}|(?<=[?].)[ \t]*|[ \t]*(?=(?:So|Thus|Therefore|Hence)\b,? ))"
    rf"|\*(?<=[.!?].){_NO_TITLE}\*[ \t]+{_BEGINS}"
)
"""Begins with what it takes away, so that only there is looked for more."""
_BETWEEN_SENTENCES = (*(end + mark for end in ".!?" for mark in " \t*"), "So", "Thus", "Therefore", "Hence")
"""One of them is where sentences meet."""
_CHINESE_SENTENCE = re.compile(rf"{_SENTENCE.pattern}|(?<=[。！？；])")
_RETRACTED = re.compile(
    r"\b(?:wrong|incorrect|(?<!common )(?<!frequent )(?<!typical )(?:mistake|error)|typo|wait|actually|impossible"
    r"|insufficient|unable|cannot|can't|can not|not enough"
    r"|not (?:right|correct|possible|valid|sure|certain|the answer)|let me (?!know)|let's (?:re|check|try)"
    r"|should(?:n't| not)? be|too (?:high|low|large|small|big|much|many|few|long|short))\b"
    r"|不对|错|等等|无法|重新",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"^(?:\W*(?:user|question|problem|q)\s*[:.])?\W*(?:what|how"
    r"|which(?! (?:means?|leaves?|gives?|makes?|equals|is why|comes|totals)\b)"
    r"|who|whose|when (?:is|are|will|did|does|do|was"
    r"|were)|where|why"
    r"|find|compute|simplify|evaluate"
    r"|calculate|determine|solve|prove|put|plug|substitute|try|consider|test|express|write|list|factor|expand|round"
    r"|convert|suppose|let)\b"
    r"|^\W*(?:求|计算|化简|多少|设|假设|假如|如果|若)",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^\W*(?:then|next|now|if)\b"
    r"|^\W*(?:finally,? )?(?:calculate|compute|substitute|solve|plug|find|determine|simplify) "
    r"|\b(?:need to|have to|must|can|could|will|should|let us|let me|let's|(?:we|i|you)(?: now| then)?)"
    r" (?:now |then |further )?(?:find|divide|multiply|add|subtract|compute|calculate|simplify|evaluate"
    r"|substitute|determine)\b",
    re.IGNORECASE,
)
"""A sentence without a value that the steps go on with."""
_SINCE = re.compile(r"^\W*(?:since|because|as)\b[^,]*,\s+(?=\D{0,80}\d)", re.IGNORECASE)
_CHINESE_PURPOSE = re.compile(r"(?:才能|才可以|才够|用来|用于|以便)[^\d，。；]*$")
_BECAUSE_CLAUSE = re.compile(
    r"[\s,，\\](?:(?<=\s)because\s|(?<=,)\s(?:since|as)\s|(?<=\\)text\s*\{\s*(?:because|since)\s*\}"
    r"|(?<=，)(?:此时|当且仅当))"
)
_IN_BECAUSE = ("because", ", since", ", as", ",\t", "\\text", "，")
_CODE = re.compile(r";(?=\S)|[#@~`<](?=[A-Za-z])|\s#\s")
_IN_CODE = (";", "#", "@", "~", "`", "<")
_CUE = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|totals?|totaling|total of|sum of"
    r"|(?:increase|difference|profit|savings) of|leav(?:es?|ing)|giv(?:es?|ing)"
    r"|mak(?:es?|ing)|costs?|now (?:has|have)|ends? (?:up )?with|yields?|get|results? in|resulting in|comes to"
    r"|amounts to|left with|from \S{1,12} to|(?:simplifies|reduces|factors|expands|evaluates|adds? up) (?:in)?to)"
    r"(?:\s+(?:only|just|exactly|up|each|about|approximately|a|an|the|her|him|them|us|it|with|total|final|of|cost|sum"
    r"|\w{1,12} of)){0,4}"
    r"|[:：]|是|为|剩下?|共|等于)[\s*]*$",
    re.IGNORECASE,
)
_ADJUNCT = re.compile(
    r"\b(?:in|after|for|by|per|over|within|each|every|during|at|from|with|on|before|until|among|between|across|all"
    r"|out of|when|where)"
    r"(?:\s+(?:the|a|an|all|his|her|their|its|first|last|next|other|each|these|those|another"
    r"|only)){0,2}(?:\s+\w+ing(?:\s+away)?)?[\s*]*$"
    r"|\b(?:step|day|week|month|year|case|grade|level|round|room|page|line)\s+$|\bof (?:the|these|those|all|his|her"
    r"|their|its)[\s*]*$|,\s+who (?:has|had|have|is|was)\s+$",
    re.IGNORECASE,
)
_DOING = re.compile(
    r"\b(?:after|before|by|without|for|from|when|while|with)\s+(?:giving|leaving|making|getting)[\s*]*$"
)
"""What is done besides, rather than what comes of it: "after giving 6 to Ben"."""
_ENDS_CUE = (
    "is", "are", "was", "were", "be", "equal", "equals", "to", "total", "totals", "totaling", "of", "leave",
    "leaves", "leaving", "give", "gives", "giving", "make", "makes", "making", "cost", "costs", "has",
    "have", "with", "yield", "yields", "get", "in", "only", "just", "exactly", "up", "each", "about",
    "approximately", "a", "an", "the", "her", "him", "them", "us", "it", "final", "sum", ":", "：", "是", "为",
    "剩", "剩下", "共", "等于",
)  # fmt: skip
_ENDS_ADJUNCT = (
    "in", "after", "for", "by", "per", "over", "within", "each", "every", "during", "at", "from", "with", "on",
    "before", "until", "among", "between", "across", "all", "of", "when", "where", "the", "a", "an", "his", "her",
    "their", "its", "first", "last", "next", "other", "these", "those", "another", "only", "ing", "away", "step", "day",
    "week", "month", "year", "case", "grade", "level", "round", "room", "page", "line", "has", "had", "have", "is",
    "was",
)  # fmt: skip
_ENDS_GIVEN = (
    "the", "these", "those", "his", "her", "their", "its", "our", "my", "both", "other", "same",
)  # fmt: skip
"""The words in which these end."""
_PURPOSE = re.compile(
    r"[\d*$)](?:\s+(?!(?:has|have|had|needs?|needed|able|going|wants?|used|is|are|was|were|left|remain\w*)\b)[a-z]+){0,3}"
    r"\s+to\s+(?!(?:be|get|obtain|give|yield|find|equal|a|an|the)\b)[a-z]+"
    r"\s+(?:(?!(?:gives?|is|are|equals|yields|makes|leaves)\b)[a-z']+\s+){0,4}$"
)
"""What stands before a number that something is done for: "8 bags to fill 30 buckets", "$3 to reach a goal of $90"."""
_GIVEN = re.compile(
    r"(?:^|\s)(?:the|these|those|his|her|their|its|our|my|both)\s+(?:other\s+|same\s+)?$", re.IGNORECASE
)
"""What stands before a number that was spoken of before: "the 4 friends"."""
_MONEY = re.compile(r"[-−\s]*\\?[$€£¥]")
_IS_THE_ANSWER = re.compile(
    r"\W{0,3}\s+(?:is|was)\s+(?:the|our|my)\s+(?:final\s+|correct\s+|right\s+)?answer\b", re.IGNORECASE
)
_EARLIER = re.compile(r"(?:\s+[a-z]+)?\s+(?:before|at first|initially|originally|to begin with|to start with)\b")
_AT_FIRST = re.compile(r"(?:\s+[a-z]+)?\s+(?:at first|initially|originally|to begin with|to start with|at the start)\b")
_NO_COUNT = re.compile(r"\b(?:no|not)\b|n't\b|没|不|\b[Oo]n(?:e|ce) (?:in|out of)\b")
_ONE = re.compile(r"\bone ([a-z]+)\b", re.IGNORECASE)
_BUT = re.compile(r"\bbut\b(?! not\b)")
_GOING_ON = re.compile(r"\b(?:adding|subtracting|multiplying|dividing|then)\b", re.IGNORECASE)
_OPERATION = re.compile(r"\b(?:add|subtract|multipl|divid|combin|sum|increas|decreas|doubl|tripl)", re.IGNORECASE)
_INTRODUCTION = re.compile(
    r"\W*(?:(?i:after|before|by|with|while|given|having|out of|of|on|to|when)|[A-Z][a-z]+ing)\b[^,]*,\s+(?=[A-Za-z$])"
)
"""A clause before the one that states something."""
_GIVEN_TO = re.compile(r"(?<![\w\\])([A-Za-z])\s*=\s*\$?(-?\d{1,12})(?![\w.,/^]*\d)")
_IN_TOTAL = re.compile(r"(?:\s+[a-z]+){0,3}\s+(?:in total|in all|altogether|combined|together|overall)\b")
_LABELLED = re.compile(
    r"[*_\s]*([A-Z][A-Za-z' ]{1,30})[*_]* ?[:=][*_\s]*\$?(\d[\d,]*(?:\.\d+)?)[*_]*(?: [A-Za-z.%]{1,15})?[*_.\s]*"
)
"""A line that gives a thing its value."""
_CONCLUDES = re.compile(
    r"\b(?:total|sum|answer|result|final|overall|altogether|combined|remain\w*|left|average|mean|profit|change|difference"
    r"|net|cost|price|conclusion|solution|value|amount|number|ans)\b",
    re.IGNORECASE,
)
_WHOLE_OR_DECIMAL = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?|\d{1,15}/\d{1,15}")
_MAX_KNOWN = 20
_DIGITS = r"\d{1,12}(?:,\d{3})*(?:\.\d{1,12})?"
_CHANGES = "(?:increase|decrease|rise|drop|growth|gain|change|difference|fall|reduction|decline|jump)"
_CHANGE = re.compile(
    rf"\bfrom\s+\\?\$?(?P<start>{_DIGITS})(?![\d,.]*\d)[^,.;\d]*?\s+to\s+\\?\$?(?P<end>{_DIGITS})[^,;\d]*,\s+"
    rf"(?:which is |that is )?an?\s+(?:(?:[a-z]+\s+)?{_CHANGES}\s+of\s+"
    rf"\\?\$?(?P<change>{_DIGITS})\s*(?P<percent>\\?%|percent\b)?|(?P<share>{_DIGITS})\s*\\?%\s+{_CHANGES})"
)
_SHARED_OUT = re.compile(
    r"(?:每[^\d，。]{0,6}(?:分|得|装|放|坐|拿|发)|平均分|各[^\d，。]{0,3}(?:分|得)|[可能]以?(?:买|装|分|做|剪|切)成?)[^\d。]*\d"
    r"[^。\d]*(?:剩|余|多出)[^\d。]*\d"
)
_EACH_AND_LEFT = re.compile(
    r"\b[Ee]ach\b[^.\d]*\b(?:gets?|receives?|holds?|takes?|has|have)\b[^.\d]*\d[^.\d]*(?:\band|\bwith|,)[^.\d]*"
    r"\d[^.\d]*\b(?:left|remain\w*|over)\b"
)
_COMPARISON = re.compile(
    rf",\s+which is \$?(?P<difference>{_DIGITS})(?:\s+[a-z]+)?\s+"
    r"(?:(?P<more>more|older|taller|longer|higher|larger|greater)|less|fewer|younger|shorter|lower|smaller)\s+than\s+"
    rf"(?:[A-Za-z'’]+\s+){{0,4}}\$?(?P<other>{_DIGITS})(?:\s+[a-z]+)?[.!*\s]*$"
)
_REST_OF_A_SIDE = re.compile(r"\A\s*(?:[-−–+×*/÷]|\\(?:times|cdot|div)(?![a-z]))\s+[^=]*=(?=[^=]*=)")
"""A first side of which words are a part: "(7 times 70) - 40 = 490 - 40 = 450"."""
_NOUN = re.compile(r"\s+[a-z]{2,}")
_AND = re.compile(r"(?:\s+(?!and\b)[a-z]+){1,2},?\s+and\s+(?:\*\*)?")
_IN_PASSING = 12
"""Numbers in words up to here are said of other things: "the two of them"."""
_SUBJECT = re.compile(
    r"\s*[A-Za-z°]{0,12}\s+(?:is|are|was|were|equals?)\b"
    r"(?!\s+(?:needed|required|necessary|enough|left|remaining|used|sold|made|bought|there)\b)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[;,，\s](?:(?<=;)\s+(?=(?:the|since)\b)"
    r"|(?<=,)\s*(?:and|but) (?:since|because|as)\b[^,;]{1,60},\s+(?=[A-Za-z$\\])"
    r"|(?:(?<=[,;])|(?<=\s)(?:[—–-]|and(?=\s(?:so|thus|hence|therefore|finally)\b)))"
    r"\s*(?:(?:and )?(?:so|thus|hence"
    r"|therefore|finally)|which (?:simplifies"
    r"|reduces) to|which is|which means|which (?:makes|leaves|gives|comes to|equals|totals)|meaning|that is"
    r"|i\.e\.),?\s+|(?<=，)(?:所以|因此|故|即|得|则))",
    re.IGNORECASE,
)
_BEGINS_CLAUSE = (
    "; ", ";\t", "since", "because", " as ", "so", "thus", "hence", "therefore", "finally", "which", "meaning",
    "that is", "i.e.",
    "所以", "因此", "故", "即", "得", "则",
)  # fmt: skip
"""One of them is where a clause begins, in small letters."""
_NO_VALUE = re.compile(
    r"\bno (?:real |integer |such |valid )?(?:solutions?|answer|value)\b|\bdo(?:es)? not exist\b|无解|不存在",
    re.IGNORECASE,
)
_CHECK = re.compile(r"^\W*(?:check(?:ing)?|verif(?:y(?:ing)?|ication)|explanation|justification)\b", re.IGNORECASE)
"""How a sentence begins that comes after the answer."""
_BECAUSE = re.compile(r"\b(?:because|since|as(?! (?:an?|the|many|much|well|long)\b))\b|因为", re.IGNORECASE)
_AS_AS = re.compile(r"\bas \w+ as\b", re.IGNORECASE)
"""A comparison, which is no reason."""
_TOTALS = re.compile(r"\b(?:for|with|giving|making|which is) a (?:grand )?total of\s+\$?$", re.IGNORECASE)
_IN_LESS = ("less", "fewer", "short", "lower", "behind", "below")
_LESS = re.compile(r"\b(?:less|fewer|short|lower|behind|below)\b", re.IGNORECASE)
_INEQUALITY = re.compile(r"(?:[<>≤≥]|\\[lg]eq?(?![a-z]))\s*\$?(\d[\d,]*(?:\.\d+)?)")
_CHINESE_DIGITS = "[零〇一二两三四五六七八九十百千万亿]"
_CHINESE_NUMBER = re.compile(
    rf"负?(?!一(?!{_CHINESE_DIGITS}|点{_CHINESE_DIGITS}|分之|又{_CHINESE_DIGITS})){_CHINESE_DIGITS}++"
    rf"(?:点{_CHINESE_DIGITS}++|(?:又{_CHINESE_DIGITS}++)?分之{_CHINESE_DIGITS}++)?(?:[分个点年天]?半|[分点])?"
)
"""With what goes on with it, so that no piece of one is seen: a minute, a half, an hour."""
_SAYS_A_VALUE = re.compile(r"[\d½⅓⅔¼¾⅕⅛π∞]|\\(?:pi|infty|emptyset)")
_BOLD = re.compile(r"\*\*(?=\S)((?:[^*\n]|\*(?!\*))+?)\*\*")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text whose displayed formulas stand on one line."""
    lines = text.split("\n")
    return [sentence for line in lines for sentence in _of_line(line, len(lines) > 1)]


def _of_line(line: str, listed: bool) -> list[str]:
    """The sentences of a line, without the mark of a list, which "1." is only among other lines."""
    line = _unmarked(line, listed)
    pattern = _SENTENCE if line.isascii() else _CHINESE_SENTENCE
    if pattern is _SENTENCE and not any(map(line.__contains__, _BETWEEN_SENTENCES)):
        return [part] if (part := line.strip()) else []
    return [part for piece in pattern.split(line) if (part := piece.strip())]


def _unmarked(line: str, listed: bool) -> str:
    mark = (_MARKER if listed else _BULLET).match(line)
    return (mark[1] or "" if listed else "") + line[mark.end() :] if mark else line  # "**4. The total**"


def first_sentence(text: str) -> str:
    """The first sentence of an answer, or all of it where the rest takes it back."""
    parts = sentences(text)
    rest = " ".join(parts[1:])
    return text if not rest or parts[0].endswith("?") or _RETRACTED.search(rest) else parts[0]


def stated(text: str, before: str = "", *, leading: bool = False, lenient: bool = False) -> Iterator[str]:
    """What `text` states, as texts to be read, the best first; nothing where it is not plain.

    `before` is what stands before `text`. `leading`: the text goes on right where the value should begin ("the answer
    is ..."). `lenient` also takes a least or a most that may be what was asked for.
    """
    for remarks, (sentence, earlier) in enumerate(_from_the_end(text, before)):
        if remarks > _MAX_REMARKS or (any(map(sentence.__contains__, _IN_CODE)) and _CODE.search(sentence)):
            return
        first = earlier.is_first
        if not first and _CHECK.match(sentence):
            continue
        sentence = _without_reason(sentence)
        found, asides = mentions(sentence)
        valued = [m for m in found if _says_a_value(m.text)]
        words = [] if valued else _number_words(sentence)
        in_brackets = not first and sentence.startswith("(") and sentence.rstrip(".").endswith(")")
        if in_brackets or (not valued and not words and not (first and found)):
            if (
                _NO_VALUE.search(sentence)
                or _RETRACTED.search(sentence)
                or _GOES_ON.search(sentence)
                or states_nothing(sentence)
            ):
                return
            continue
        if not valued:
            if not states_nothing(sentence):
                yield from _from_words(sentence, words, earlier) if words else _only(found)
            return
        if not valued[-1].computed and (_asks(sentence) or states_nothing(sentence)):
            return  # a question holds values, and states none
        chosen = _chosen(sentence, valued, asides, earlier, leading and first, lenient)
        beside = (pair for pair in pairwise(valued) if chosen in pair)
        less = any(map(sentence.__contains__, _IN_LESS)) and _LESS.search(sentence)
        if chosen is not None and less and f"-{mention_key(chosen.text)}" in earlier.results:
            return  # "24 - 32 = -8, so it costs 8 less"
        if chosen is not None and not any(_are_two_things(sentence, *pair) for pair in beside):
            yield from _said(chosen, sentence, earlier)
        return


class _Earlier:
    """What stands before a clause, taken apart only as far as it is asked for."""

    def __init__(self, before: str, lines: list[str], parts: list[str]) -> None:
        """`parts` stand in the same line."""
        self.is_first = not parts and not any(map(str.strip, lines))
        self._before = before
        self._lines = lines
        self._parts = parts

    @cached_property
    def parts(self) -> list[str]:
        listed = [sentence for line in self._lines for sentence in _of_line(line, True)]
        return [*sentences(self._before[-_MAX_BEFORE:]), *listed, *self._parts]

    def backwards(self) -> Iterator[str]:
        yield from reversed(self._parts)
        for line in reversed(self._lines):
            yield from reversed(_of_line(line, True))
        yield from reversed(sentences(self._before[-_MAX_BEFORE:]))

    @cached_property
    def text(self) -> str:
        return " ".join(self.parts)

    @cached_property
    def numbers(self) -> set[str]:
        lines = self._before[-_MAX_BEFORE:].split("\n")
        before = [_unmarked(line, len(lines) > 1).strip() for line in lines]
        listed = [_unmarked(line, True).strip() for line in self._lines]
        return numbers_in(" ".join([*filter(None, before), *filter(None, listed), *self._parts]))

    @cached_property
    def results(self) -> set[str]:
        """What was worked out last."""
        for sentence in islice(self.backwards(), _MAX_SENTENCES):
            found, asides = mentions(sentence) if works_out(sentence) else ([], [])
            results = [m for m in (*asides, *found) if m.whole or m.computed]
            bounds = _INEQUALITY.findall(sentence)
            if results or bounds:
                return {mention_key(results[-1].text if results else bounds[-1])}
        return set()


def is_one_of_two(line: str, before: str) -> bool:
    """Whether a line gives one thing's value below another one's, of which neither comes of the other: "Length: 12 cm"
    and "Width: 5 cm"."""
    here = _LABELLED.fullmatch(line)
    if here is None or _CONCLUDES.search(here[1]):
        return False
    earlier = _Earlier("", before.split("\n"), [])
    there = _LABELLED.fullmatch(next(earlier.backwards(), ""))
    if there is None or here[1].casefold() == there[1].casefold():
        return False
    value, beside = (Fraction(match[2].replace(",", "")) for match in (here, there))
    known = sorted(Fraction(number) for number in earlier.numbers if _WHOLE_OR_DECIMAL.fullmatch(number))
    pairs = ((a, b) for i, a in enumerate(known[:_MAX_KNOWN]) for b in known[:i])
    worked = any(value in (a + b, abs(a - b), a * b) or value * a == b or value * b == a for a, b in pairs)
    return value != beside and not worked


def _from_the_end(text: str, before: str) -> Iterator[tuple[str, _Earlier]]:
    """The clauses of a text, the last first, each with what stands before it."""
    lines = text.split("\n")
    for row in range(len(lines) - 1, -1, -1):
        parts = _of_line(lines[row], len(lines) > 1)
        for place in range(len(parts) - 1, -1, -1):
            clauses = _clauses(_without_comparison(parts[place]) if ", which is " in parts[place] else parts[place])
            for within in range(len(clauses) - 1, -1, -1):
                yield clauses[within], _Earlier(before, lines[:row], parts[:place] + clauses[:within])


def _clauses(sentence: str) -> list[str]:
    small = sentence.lower()
    return _CLAUSE.split(sentence) if any(map(small.__contains__, _BEGINS_CLAUSE)) else [sentence]


def _without_comparison(sentence: str) -> str:
    """A sentence without the remark at its end by how much its value is more or less than another one, where that is
    so: "Ann has 30, which is 6 more than Ben's 24"."""
    remark = _COMPARISON.search(sentence)
    if remark is None:
        return sentence
    difference, other = (Fraction(number.replace(",", "")) for number in remark.group("difference", "other"))
    value = other + difference if remark["more"] else other - difference
    return sentence[: remark.start()] if str(value) in numbers_in(sentence[: remark.start()]) else sentence


def _without_reason(sentence: str) -> str:
    """A sentence without the clause that gives its reason, where a value is stated beside it."""
    since = _SINCE.match(sentence)
    sentence = sentence[since.end() :] if since else sentence
    because = _BECAUSE_CLAUSE.search(sentence) if any(map(sentence.__contains__, _IN_BECAUSE)) else None
    if because is None:
        return sentence
    claim, reason = sentence[: because.start()], sentence[because.end() :]
    known, worked_out = numbers_in(claim), re.findall(r"=\s*\$?([\d,.]*\d)", reason)
    return claim.rstrip(" ,") if known and not (worked_out and numbers_in(worked_out[-1]) <= known) else sentence


def _said(mention: Mention, sentence: str, earlier: _Earlier) -> Iterator[str]:
    """An equation as it stands, and its last side where that is worked out; nothing where it does not hold."""
    first, joined, last = mention.text.rpartition(" or ")
    if joined and not mention.whole and _says_the_same(first, last):
        yield last  # "$30 - ($6 + $12), or $12"
        return
    whole = _REST_OF_A_SIDE.sub("", mention.whole)
    value = worked_out(whole) if whole else None
    if value is not None or not whole:
        yield from dict.fromkeys((value or mention.text, mention.text))
        return
    try:
        tree = read(whole)
        if isinstance(tree, Many):
            yield whole  # "x = 3, x^2 = 9": the last side is a part of it
            return
        if not isinstance(tree, Relation):
            yield mention.text
            return
        closed = [side for side in tree.sides if not free_symbols(side)]
        if "~" not in tree.signs and not all(_holds(closed[-1], side) for side in closed[:-1]):
            return
    except (Unreadable, TooLarge, Undefined):
        yield mention.text
        return
    yield whole
    if len(closed) > 1 or _follows(tree, earlier) or _is_cue(words_before(sentence, mention.start)):
        yield mention.text


def _says_the_same(first: str, last: str) -> bool:
    try:
        return equal(read(first), read(last))
    except (Unreadable, TooLarge, Undefined):
        return False


def _follows(tree: Relation, earlier: _Earlier) -> bool:
    """Whether an equation is worked out from values that were given to its names right before: "x = 5, y = 8, so xy "
    "= 40"."""
    if len(tree.sides) != 2 or not free_symbols(tree):
        return False
    values = {name: Fraction(number) for name, number in _GIVEN_TO.findall(" ".join(earlier.parts[-2:]))}
    if not free_symbols(tree) <= values.keys():
        return False
    sides = [exact(side, values) for side in tree.sides]
    return not isinstance(tree.sides[0], Symbol) and sides[0] is not None and sides[0] == sides[1]


def _holds(value: Tree, side: Tree) -> bool:
    if isinstance(value, Based) and isinstance(side, Based):  # the same number in two bases
        return int(value.digits, value.base) == int(side.digits, side.base)
    if isinstance(value, Apply) and value.name == "%" and equal(value.args[0], side):
        return True  # "18/40 * 100 = 45%"
    return equal(value, side)


def _only(found: Sequence[Mention]) -> Iterator[str]:
    """A formula without a number, where it is the only one."""
    if len({mention_key(m.text) for m in found}) == 1:
        yield found[-1].whole or found[-1].text


def _chosen(
    sentence: str, found: list[Mention], asides: list[Mention], earlier: _Earlier, leading: bool, lenient: bool
) -> Mention | None:
    """The mention that says the value of the sentence."""
    called = [m for m in found if _IS_THE_ANSWER.match(sentence, m.end) and not m.bounded]
    if len(called) == 1:
        return called[0]
    change = _change(sentence, found) if "from " in sentence else None
    if change is not None:
        return change
    if len(found) > 1 and not found[-1].computed and (_SHARED_OUT.search(sentence) or _EACH_AND_LEFT.search(sentence)):
        return None  # a quotient and its remainder
    found = _without_subjects(sentence, found)
    beside = {mention_key(m.text) for m in asides if m.whole}
    first, last = found[0], found[-1]
    if len({mention_key(m.text) for m in found}) == 1:
        if lenient and all(not m.bounded or is_limit(sentence, m.start) for m in found):
            return last
        plain = last.computed or not (
            any(m.bounded for m in found)
            or all(_is_given(sentence, m) for m in found)
            or _other_words(sentence, last)
            or _goes_on(sentence, last)
        )
        return last if plain or mention_key(last.text) in (beside or earlier.results) else None
    if leading and not first.bounded and not sentence[: first.start].strip(" *_:$\\([~"):
        return first
    marked = list(_BOLD.finditer(sentence)) if "**" in sentence else []
    bold = [m for m in found if any(b.start() <= m.start and m.end <= b.end() for b in marked)]
    if len({mention_key(m.text) for m in bold}) == 1 and not bold[-1].bounded:
        return bold[-1]

    def fits(result: Mention, others: Sequence[Mention], computed: Sequence[Mention] = ()) -> bool:
        """Whether what else the sentence speaks of was known before, or stands beside the statement."""
        if not others:
            return True
        keys = {mention_key(result.text), *(n for m in computed for n in numbers_in(sentence[m.start : m.end]))}
        return all(
            (key := mention_key(m.text)) in keys
            or key in earlier.numbers
            or m.text in earlier.text
            or _is_adjunct(sentence, m)
            for m in others
        )

    if " total of" in sentence and not last.bounded and _TOTALS.search(words_before(sentence, last.start)):
        return last
    computed = [m for m in found if m.computed]
    if computed:
        result = computed[-1]
        earlier_mentions = [m for m in found if m.end <= result.start and not m.computed]
        if len(computed) > 1 and _have_two_names(sentence, computed[-2], result):
            return None
        if earlier_mentions and _BECAUSE.search(_AS_AS.sub("", sentence[earlier_mentions[-1].end : result.start])):
            return result if mention_key(earlier_mentions[-1].text) == mention_key(result.text) else None
        return result if fits(result, [m for m in found if m.start >= result.end], computed) else None
    results = beside or earlier.results
    repeated = [m for m in found if mention_key(m.text) in results]
    if len({mention_key(m.text) for m in repeated}) == 1 and fits(repeated[-1], found):
        return repeated[-1]
    cued = [
        m
        for m in found
        if not m.bounded and (_is_cue(words_before(sentence, m.start)) or _IN_TOTAL.match(sentence, m.end))
    ]
    if len(cued) > 1 and _GOING_ON.search(sentence, cued[-2].end, cued[-1].start):
        cued = cued[-1:]
    if len({mention_key(m.text) for m in cued}) == 1 and fits(cued[-1], [m for m in found if m.start >= cued[-1].end]):
        return cued[-1]
    main = [m for m in found if not _is_adjunct(sentence, m)]
    priced = any(_MONEY.match(m.text) for m in found) and not (main and _MONEY.match(main[-1].text))
    if len({mention_key(m.text) for m in main}) == 1 and not main[-1].bounded and fits(main[-1], found):
        return main[-1] if not priced or earlier.numbers else None
    return None


def _change(sentence: str, found: Sequence[Mention]) -> Mention | None:
    """The change in "from 40 to 52, an increase of 12", where it is the one of the two values."""
    match = _CHANGE.search(sentence)
    if match is None:
        return None
    name = "change" if match["change"] else "share"
    start, end, change = (Fraction(number.replace(",", "")) for number in match.group("start", "end", name))
    difference = abs(end - start)
    if change != (difference * 100 / start if (match["percent"] or match["share"]) and start else difference):
        return None
    return next((m for m in found if m.start <= match.start(name) < m.end), None)


def _are_two_things(sentence: str, first: Mention, second: Mention) -> bool:
    """Whether two amounts stand beside each other, of which neither is what the sentence states: "27 pens and 18 caps".
    One that is worked out from the other goes on with it."""
    between = sentence[first.end : second.start]
    return (
        _AND.fullmatch(between) is not None
        and _NOUN.match(sentence, second.end) is not None
        and mention_key(first.text) != mention_key(second.text)
        and mention_key(first.text) not in numbers_in(second.whole or second.text)
    )


def _have_two_names(sentence: str, first: Mention, second: Mention) -> bool:
    """Whether two names have a value each, of which neither is worked out: "length = 12, width = 5"."""
    return are_two_names(first.whole, sentence[first.end : second.start], second.whole) and mention_key(
        first.text
    ) != mention_key(second.text)


def _is_adjunct(sentence: str, mention: Mention) -> bool:
    introduction = _INTRODUCTION.match(sentence)
    if introduction and mention.end <= introduction.end() and not mention.computed:
        return True
    if _EARLIER.match(sentence, mention.end):
        return True
    before = words_before(sentence, mention.start)
    if not before.isascii() and (before.endswith("第") or _CHINESE_PURPOSE.search(before)):
        return True
    if "to" in before and _PURPOSE.search(before) and not _OPERATION.search(sentence):
        return True
    return _ends_adjunct(before) or _is_given(sentence, mention)


def _ends_adjunct(before: str) -> bool:
    return may_end(before.rstrip("* "), _ENDS_ADJUNCT) and _ADJUNCT.search(before) is not None


def _is_cue(before: str) -> bool:
    return may_end(before.rstrip("* "), _ENDS_CUE) and _CUE.search(before) is not None and not _DOING.search(before)


def _is_given(sentence: str, mention: Mention) -> bool:
    """Whether a number says which things are meant rather than how many there are: "the 4 friends", "her 9 eggs"."""
    before = words_before(sentence, mention.start)
    return (
        may_end(before, _ENDS_GIVEN)
        and _GIVEN.search(before) is not None
        and _NOUN.match(sentence, mention.end) is not None
    )


def _goes_on(sentence: str, mention: Mention) -> bool:
    """Whether what a sentence says of a number is over, or does not end there."""
    return _AT_FIRST.match(sentence, mention.end) is not None or _BUT.search(sentence, mention.end) is not None


def _other_words(sentence: str, mention: Mention) -> bool:
    """Whether a number in words, larger than those that are said in passing, stands beside one in digits."""
    said = [word for word in numerals(sentence) if word]
    return any(word != mention_key(mention.text) and Fraction(word) > _IN_PASSING for word in said) if said else False


def _without_subjects(sentence: str, found: list[Mention]) -> list[Mention]:
    """The mentions but those that something is said of: "72 months is 6 years"."""
    if len(found) == 1 or _is_adjunct(sentence, found[-1]):
        return found
    kept = [m for m in found[:-1] if not _SUBJECT.match(sentence, m.end)]
    return [*kept, found[-1]]


def _asks(sentence: str) -> bool:
    return _ASKS.match(sentence) is not None or sentence.rstrip('*" \t').endswith(("?", "？"))


def _says_a_value(text: str) -> bool:
    return _SAYS_A_VALUE.search(text) is not None


def _number_words(sentence: str) -> list[str]:
    return [*numerals(sentence), *(_CHINESE_NUMBER.findall(sentence) if not sentence.isascii() else ())]


def _from_words(sentence: str, words: list[str], earlier: _Earlier) -> Iterator[str]:
    """A number in words, said once. "One" is one only where it repeats what was worked out."""
    counted = [w for w in words if w != "1"] or ["1"]
    if len(counted) != 1 or _NO_COUNT.search(sentence) or _BUT.search(sentence):
        return
    one = _ONE.search(sentence)  # "in one hour", not "one of them"
    if counted[0] and (counted[0] != "1" or "1" in earlier.results or (one and read_unit(one[1]))):
        yield counted[0]
