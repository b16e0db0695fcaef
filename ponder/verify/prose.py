"""The value that prose states: sentences in, the text of the stated value out, or nothing where that is not plain.

A sentence is taken apart into mentions. A mention is a whole term with what belongs to it - sign, currency, unit, the
terms it is joined to - so that a piece of a larger term is never seen; of an equation it is the last side. Several
mentions state one value where they are equal, where one of them is worked out in the sentence or repeats what was
worked out last before it, or where the author put it in bold; what the sentence else speaks of must then have been
known before. A list ("3, 5 and 7", "4 or 5") is one mention.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ponder.maths.equality import equal
from ponder.maths.reader import read
from ponder.maths.tree import Relation, TooLarge, Unreadable, free_symbols
from ponder.maths.units import read_unit
from ponder.maths.values import Undefined
from ponder.maths.words import MULTIPLIERS
from ponder.verify.answer import on_one_line

__all__ = ["Mention", "first_sentence", "mentions", "sentences", "stated"]

_MAX_SENTENCES = 12
"""Sentences before the last one that are looked at for what was worked out."""
_MAX_REMARKS = 6
"""Sentences without a value that may follow the one that states it."""
_MAX_SENTENCE_CHARS = 1_500

_MARKER = re.compile(r"(?m)^[ \t]*(?:[-*+•·]|\d{1,2}[.)]|#{1,6})[ \t]+")
_BULLET = re.compile(r"^[ \t]*(?:[-*+•·]|#{1,6})[ \t]+")
_SENTENCE = re.compile(
    r"(?<!Mr\.)(?<!Ms\.)(?<!Dr\.)(?<!St\.)(?<!Mrs\.)(?<!vs\.)(?<=[.!?])(?:\*\*)?[ \t]+(?=[A-Z*\"“(\\$\[])"
    r"|(?<=[?])[ \t]+|(?<=[。！？；])|\n+|[ \t]+(?=(?:So|Thus|Therefore|Hence)\b,? )"
)
_RETRACTED = re.compile(
    r"\b(?:wrong|incorrect|mistake|error|wait|actually|impossible|insufficient|unable|cannot|can't|can not|not enough"
    r"|not (?:right|correct|possible|valid|sure|certain|the answer)|let me (?!know)|let's (?:re|check|try)"
    r"|should(?:n't| not)? be)\b"
    r"|不对|错|等等|无法|重新",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"^(?:\W*(?:user|question|problem|q)\s*[:.])?\W*(?:what|how|which|who|whose|when|where|why|find|compute|simplify|evaluate"
    r"|calculate|determine|solve|prove|express|write|list|factor|expand|round|convert|suppose|let)\b|[?？][\s*\"]*$"
    r"|^\W*(?:求|计算|化简|多少|设)",
    re.IGNORECASE,
)
_CODE = re.compile(r";(?=\S)|[#@~`<](?=[A-Za-z])|\s#\s")
_NUMBER = r"\d{1,3}(?:,\d{3})+(?![\d,]*\d)(?:\.\d+)?|\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+(?!\d)|\d+(?:\.\d+)?|\.\d+"
_FUNCTIONS = "sqrt|cbrt|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|lcm|gcd|max|min|pi|theta"
_PIECE = re.compile(
    rf"""(?P<math>\$\$[^$]*\$\$|\\\((?:[^\\]|\\(?!\)))*\\\)|\\\[(?:[^\\]|\\(?!\]))*\\\]
        |(?<![\\$])\$[ ](?=\\[a-z])[^$\n]*\$(?!\d)
        |(?<![\\$])\$(?![\s$])(?:[^$\\\n]|\\.)*?(?<![\s\\])\$(?![\d$]))
    |(?P<money>(?:\\\$|\\\(\\\$\\\)|US\$|[$€£¥])[ ]?(?=[\d.]))
    |(?P<number>{_NUMBER})
    |(?P<function>(?<![A-Za-z])(?:{_FUNCTIONS})(?![A-Za-z]))
    |(?P<word>[A-Za-zÀ-ÖØ-öø-ÿ]+(?:['’][A-Za-z]+)?\.?(?:[A-Za-z]\.)?|[\u3400-\u9fff])
    |(?P<command>\\[A-Za-z]+(?:\s*\{{[^{{}}]*\}})*)
    |(?P<bold>(?<!\d)\*\*|\*\*(?!\d))
    |(?P<equals>=|≈|≃|\\approx|→|=>|⇒)
    |(?P<operator>[-−–—+×✕*·⋅÷/^_%°√∛π∞<>≤≥≠!|±′½⅓⅔¼¾⅕⅛²³⁴]|(?<=\d):(?=\d)|[()\[\]{{}}])
    |(?P<comma>[,，;；、])
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_TEXT_GROUP = re.compile(r"\\(?:text|mathrm|textbf|mbox|operatorname)\s*\{[^{}]*\}")
_DENIED = re.compile(
    r"(?:\b(?:not|never|isn't|wasn't|aren't|instead of|rather than|unlike|than|nor|neither)\s+(?:just\s+|only\s+)?"
    r"|不是)\s*$",
    re.IGNORECASE,
)
_BOUNDED = re.compile(
    r"(?:\b(?:at least|at most|less than|more than|fewer than|greater than|up to|no more than|no less than|over|under"
    r"|above|below|almost|nearly|if|unless|maybe|perhaps|possibly|might be|could be|between)\s+"
    r"|至少|至多|超过|不到|不足)$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\s*(?:,\s*)?(?:if|when|unless|provided|where)\b|\s*(?:如果|当)", re.IGNORECASE)
_COMPARED = re.compile(r"\s+(?:more|less|fewer|older|younger|higher|lower)\s+than\b", re.IGNORECASE)
_CUE = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|equal to|totals?|totaling|total of|sum of|leav(?:es|ing)|giv(?:es|ing)"
    r"|mak(?:es|ing)|yields?|get|results? in|resulting in|comes to|amounts to|left with|from \S{1,12} to)"
    r"(?:\s+(?:only|just|exactly|about|approximately|a|an|the|her|him|them|us|it|with|total|final|of|cost|sum"
    r"|\w{1,12} of)){0,4}"
    r"|[:：]|是|为|剩下?|共|等于)[\s*]*$",
    re.IGNORECASE,
)
_ADJUNCT = re.compile(
    r"\b(?:in|after|for|by|per|over|within|each|every|during|at|from|with|on|before|until|among|between|across|all)"
    r"(?:\s+(?:the|a|an|all|his|her|their|its|first|last|next|other|each|these|those|another|only)){0,2}[\s*]*$",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"\s*[A-Za-z°]{0,12}\s+(?:is|are|was|were|equals?)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"(?:,|;|\s[—–-])\s*(?:so|thus|hence|therefore|which is|which means|meaning|that is|i\.e\.),?\s+", re.IGNORECASE
)
_BECAUSE = re.compile(r"\b(?:because|since|as)\b|因为", re.IGNORECASE)
_INEQUALITY = re.compile(r"(?:[<>≤≥]|\\[lg]eq?(?![a-z]))\s*\$?(\d[\d,]*(?:\.\d+)?)")
_FROM = re.compile(r"\bfrom\s+$", re.IGNORECASE)
_NEGATIVE = re.compile(r"\b(?:negative|minus)\s+$|负\s*$", re.IGNORECASE)
_BETWEEN_LIST = re.compile(r"\s*(?:[,，、;；]|,?\s*\b(?:and|or)\b|或者?|和|及|与)\s*", re.IGNORECASE)
_BETWEEN_TERM = re.compile(
    r"\s*(?:times|plus|minus|divided by|over|to|out of|of|by|for every|in every|in|squared|cubed|and a|and"
    r"|到|至|比|又|乘|加|减)\s*",
    re.IGNORECASE,
)
_AFTER_TERM = re.compile(
    r"\s*(?:and (?:a|one|two|three) (?:half|halves|third|thirds|quarters?|fourths?|fifths?)"
    r"|or (?:more|less|fewer|so)|times\b(?=\s*[\d(])"
    r"|倍|多|余|以上|以下|左右)",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\s*(?:[ap]\.?\s?m\b\.?)", re.IGNORECASE)
_PERCENT = re.compile(r"\s*(?:percent|per cent|pct)\b\.?", re.IGNORECASE)
_NUMBER_WORD = re.compile(
    r"\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen)\b"
    r"(?: (?:hundred|thousand|million|dozen))?",
    re.IGNORECASE,
)
_CHINESE_NUMBER = re.compile("[二两三四五六七八九十百千万亿][零一二两三四五六七八九十百千万亿]*(?![分半])")
_TIMES = re.compile(r"(?<=[\d)] )[xX](?= [\d$(.\\])|(?<=\d)[xX](?=\d)")
_ASIDE = re.compile(r"(?<=[\s*])\((?=[^()]*(?:[A-Za-z]{2,}|=))[^()]*\)")
_EQUALS = re.compile(r"(?<![<>!])=(?!>)|≈|≃|\\approx(?![a-z])|→|=>|⇒|\\rightarrow|\\to(?![a-z])")
_BINARY_START = re.compile(r"(?:[+×✕*·÷/=≈]|[-−–—](?=\s)|\\(?:times|div|cdot)|\\\(\s*(?:=|\\times))")
_BINARY_END = re.compile(r"(?:[+×✕*·÷/=≈]|(?<=\s)[-−–—]|\\(?:times|div|cdot))\s*$")
_PLAIN = re.compile(r"(?:US)?([-−]?)\s*[$€£¥]?\s*(\d[\d,\s\u202f]*(?:\.\d+)?|\.\d+)\s*%?\s*[A-Za-z ²³\u3400-\u9fff]*")
_BOLD = re.compile(r"\*\*(?=\S)((?:[^*\n]|\*(?!\*))+?)\*\*")


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


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, a displayed formula being a part of one line."""
    text = on_one_line(text)
    text = (_MARKER if "\n" in text else _BULLET).sub("", text)
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def first_sentence(text: str) -> str:
    """The first sentence of an answer, or all of it where the rest takes it back."""
    parts = sentences(text)
    rest = " ".join(parts[1:])
    return text if not rest or parts[0].endswith("?") or _RETRACTED.search(rest) else parts[0]


def stated(text: str, before: str = "", *, leading: bool = False, lenient: bool = False) -> Iterator[str]:
    """What `text` states, as texts to be read, the best first; nothing where it is not plain.

    `before` is what stands before `text`. `leading`: the text goes on right where the value should begin ("the answer
    is ..."). `lenient` also takes what may be a limit, and the last of several values.
    """
    parts = [clause for sentence in sentences(text) for clause in _CLAUSE.split(sentence)]
    for remarks, sentence in enumerate(reversed(parts)):
        if remarks > _MAX_REMARKS or _CODE.search(sentence):
            return
        where = len(parts) - remarks
        found, asides = mentions(sentence)
        valued = [m for m in found if _says_a_value(m.text)]
        words = [] if valued else _number_words(sentence)
        beside = sentence.startswith("(") and sentence.rstrip(".").endswith(")") and where > 1
        if beside or (not valued and not words and not (remarks == len(parts) - 1 and found)):
            if _RETRACTED.search(sentence):
                return
            continue
        earlier = [*sentences(before[-4_000:]), *parts[: where - 1]]
        if not valued:
            yield from _from_words(sentence, words, earlier) if words else _only(found)
            return
        if _ASKS.search(sentence) and not valued[-1].computed:
            return  # a question holds values, and states none
        chosen = _chosen(sentence, valued, asides, earlier, leading and where == 1, lenient)
        if chosen is not None:
            yield from _said(chosen, sentence)
        return


def _said(mention: Mention, sentence: str) -> Iterator[str]:
    """An equation as it stands, and its last side where that is worked out; nothing where it does not hold."""
    try:
        tree = read(mention.whole)
        if not isinstance(tree, Relation):
            yield mention.text
            return
        closed = [side for side in tree.sides if not free_symbols(side)]
        if "~" not in tree.signs and not all(equal(closed[-1], side) for side in closed[:-1]):
            return
    except (Unreadable, TooLarge, Undefined):
        yield mention.text
        return
    yield mention.whole
    if len(closed) > 1 or _CUE.search(sentence[: mention.start]):
        yield mention.text


def _only(found: Sequence[Mention]) -> Iterator[str]:
    """A formula without a number, where it is the only one."""
    if len({_key(m.text) for m in found}) == 1:
        yield found[-1].whole or found[-1].text


def _chosen(
    sentence: str, found: list[Mention], asides: list[Mention], earlier: list[str], leading: bool, lenient: bool
) -> Mention | None:
    """The mention that says the value of the sentence."""
    found = _without_subjects(sentence, found)
    results = {_key(m.text) for m in asides if m.whole} or _last_results(earlier)
    first, last = found[0], found[-1]
    if len({_key(m.text) for m in found}) == 1:
        return last if lenient or not any(m.bounded for m in found) or _key(last.text) in results else None
    if leading and not first.bounded and not sentence[: first.start].strip(" *_:$\\([~"):
        return first
    bold = [m for m in found if any(b.start() <= m.start and m.end <= b.end() for b in _BOLD.finditer(sentence))]
    if len({_key(m.text) for m in bold}) == 1 and not bold[-1].bounded:
        return bold[-1]
    before = " ".join(earlier)
    known = _numbers(before)

    def fits(result: Mention, others: Sequence[Mention]) -> bool:
        """Whether what else the sentence speaks of was known before, or stands beside the statement."""
        keys = (_key(result.text), *known)
        return all(_key(m.text) in keys or m.text in before or _is_adjunct(sentence, m) for m in others)

    computed = [m for m in found if m.computed]
    if computed:
        result = computed[-1]
        known |= {n for m in computed for n in _numbers(sentence[m.start : m.end])}
        earlier_mentions = [m for m in found if m.end <= result.start and not m.computed]
        if earlier_mentions and _BECAUSE.search(sentence[earlier_mentions[-1].end : result.start]):
            return result if _key(earlier_mentions[-1].text) == _key(result.text) else None
        return result if fits(result, [m for m in found if m.start >= result.end]) else None
    repeated = [m for m in found if _key(m.text) in results]
    if len({_key(m.text) for m in repeated}) == 1 and fits(repeated[-1], found):
        return repeated[-1]
    cued = [m for m in found if _CUE.search(sentence[: m.start]) and not m.bounded]
    if len({_key(m.text) for m in cued}) == 1 and fits(cued[-1], [m for m in found if m.start >= cued[-1].end]):
        return cued[-1]
    main = [m for m in found if not _is_adjunct(sentence, m)]
    if len({_key(m.text) for m in main}) == 1 and not main[-1].bounded and fits(main[-1], found) and known:
        return main[-1]
    return last if lenient and not last.bounded else None


def _is_adjunct(sentence: str, mention: Mention) -> bool:
    return _ADJUNCT.search(sentence[: mention.start]) is not None


def _without_subjects(sentence: str, found: list[Mention]) -> list[Mention]:
    """The mentions but those that something is said of: "72 months is 6 years"."""
    kept = [m for m in found[:-1] if not _SUBJECT.match(sentence, m.end)]
    return [*kept, found[-1]]


def _last_results(earlier: list[str]) -> set[str]:
    """What was worked out last before a sentence."""
    for sentence in reversed(earlier[-_MAX_SENTENCES:]):
        found, asides = mentions(sentence)
        results = [m for m in (*asides, *found) if m.whole or m.computed]
        bounds = _INEQUALITY.findall(sentence)
        if results:
            return {_key(results[-1].text)}
        if bounds:
            return {_key(bounds[-1])}
    return set()


def mentions(sentence: str) -> tuple[list[Mention], list[Mention]]:
    """The mentions of a sentence in their order, and those that stand in brackets beside it."""
    sentence = _TIMES.sub("×", sentence[-_MAX_SENTENCE_CHARS:])
    asides: list[Mention] = []

    def cut(match: re.Match[str]) -> str:
        asides.extend(_mentions(match[0][1:-1]))
        return " " * len(match[0])

    main = _ASIDE.sub(cut, sentence)
    return _mentions(main), asides


def _mentions(sentence: str) -> list[Mention]:
    merged: list[Mention] = []
    for mention in _joined(sentence, list(_chunks(sentence))):
        if _DENIED.search(sentence[: mention.start]):
            continue
        between = sentence[merged[-1].end : mention.start] if merged else None
        if between is not None and not mention.computed:
            if _BETWEEN_LIST.fullmatch(between) and not merged[-1].computed:
                text = f"{merged[-1].whole or merged[-1].text}, {mention.whole or mention.text}"
                merged[-1] = _merge(merged[-1], mention, text)
                continue
            share = between.strip() not in ("in", "over") or (merged[-1].text + mention.text).isdigit()
            if share and _BETWEEN_TERM.fullmatch(between) and not _FROM.search(sentence[: merged[-1].start]):
                merged[-1] = _merge(merged[-1], mention, merged[-1].text + between + mention.text)
                continue
        merged.append(mention)
    return merged


def _merge(first: Mention, second: Mention, text: str) -> Mention:
    return Mention(
        text=text, start=first.start, end=second.end, bounded=first.bounded or second.bounded, computed=second.computed
    )


def _chunks(sentence: str) -> Iterator[tuple[int, int]]:
    """Runs of numbers, signs, formulas and names of one letter."""
    start = end = None
    previous_end, previous_kind = -1, ""
    depth = 0
    for match in _PIECE.finditer(sentence):
        kind = match.lastgroup
        assert kind is not None
        inside = kind in ("math", "money", "number", "function", "command", "equals", "operator")
        if kind == "word":
            glued = previous_kind == "number" and previous_end == match.start()
            inside = glued or (_is_name(match[0]) and _is_in_formula(sentence, match))
        elif kind == "comma":
            inside = depth > 0
        elif kind == "operator":
            depth = max(0, depth + (match[0] in "([{") - (match[0] in ")]}"))
        if inside:
            start = match.start() if start is None else start
            end = match.end()
        elif kind != "space" and start is not None and end is not None:
            yield start, end
            start, depth = None, 0
        if kind != "space":
            previous_end, previous_kind = match.end(), kind
    if start is not None and end is not None:
        yield start, end


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
            if share or _BINARY_START.match(text) or _BINARY_END.search(before):
                groups[-1].append(chunk)
                continue
        groups.append([chunk])
    for group in groups:
        mention = _mention(sentence, group)
        if mention is not None:
            yield mention


def _mention(sentence: str, group: list[tuple[int, int]]) -> Mention | None:
    start, end = group[0][0], group[-1][1]
    text = sentence[start:end]
    inner = _unwrapped(text)
    equals = [m.end() for m in _EQUALS.finditer(text)]
    whole = inner.strip() if equals and len(group) == 1 else ""
    computed = bool(equals) and (re.search(r"\d", text[: equals[-1]]) is not None or text.lstrip()[0] in "=≈→")
    if equals:
        end_of_last = equals[-1]
        value, value_start = text[end_of_last:], start + end_of_last
        value = _closed(value)
    else:
        value, value_start = text, start
    value = _trimmed(value)
    if not value:
        return None
    if _NEGATIVE.search(sentence[:value_start]):
        value = "-" + value
    value, end = _with_unit(sentence, value, end)
    return Mention(
        text=value,
        whole=whole,
        start=start,
        end=end,
        computed=computed,
        bounded=not computed and _is_bounded(sentence, start, end),
    )


def _is_bounded(sentence: str, start: int, end: int) -> bool:
    if _BOUNDED.search(sentence[:start]) or _CONDITION.match(sentence, end):
        return True
    return not sentence[:start].strip() and _COMPARED.match(sentence, end) is not None


def _unwrapped(text: str) -> str:
    text = text.strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and opening not in inner:
            return inner
    return text


def _closed(text: str) -> str:
    """The end of a formula whose opening mark was cut off with its left side."""
    for mark in ("$$", "$", "\\)", "\\]"):
        if text.rstrip().endswith(mark):
            opening = {"\\)": "\\(", "\\]": "\\["}.get(mark, mark)
            if opening not in text.rstrip().removesuffix(mark):
                return text.rstrip().removesuffix(mark)
    return text


def _trimmed(text: str) -> str:
    """A term without signs and brackets at its ends that belong to the sentence."""
    text = text.strip().strip("*_").strip()
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
    for pattern in (_PERCENT, _CLOCK, _AFTER_TERM):
        match = pattern.match(sentence, end)
        if match:
            return (value + "%" if pattern is _PERCENT else value + match[0]), match.end()
    words = list(re.finditer(r"\s*(?:/\s*)?([A-Za-z°]+[²³]?|[\u3400-\u9fff]+)", sentence[end : end + 60]))
    run, stop = "", end
    best = value, end
    for word in words[:4]:
        if end + word.start() != stop:
            break
        run, stop = run + word[0], end + word.end()
        if run.strip().casefold().rstrip("s") in MULTIPLIERS or _is_unit(run.strip(), sentence[stop:]):
            best = value + run, stop
    return best


def _is_unit(word: str, rest: str) -> bool:
    """Whether a word is a unit here: a letter only where it stands by itself, "in" only at the end."""
    if read_unit(word) is None or rest[:1] in tuple("&'’") or (word == "in" and rest.strip(" .!")):
        return False
    return len(word) > 1 or word in ("m", "g", "s", "h", "L", "l") or not word.isascii()


def _says_a_value(text: str) -> bool:
    return re.search(r"[\d½⅓⅔¼¾⅕⅛π∞]|\\(?:pi|infty|emptyset)", text) is not None


def _number_words(sentence: str) -> list[str]:
    return _NUMBER_WORD.findall(sentence) + _CHINESE_NUMBER.findall(sentence)


def _from_words(sentence: str, words: list[str], earlier: list[str]) -> Iterator[str]:
    """A number in words, said once. "One" is one only where it repeats what was worked out."""
    counted = [w for w in words if w.casefold() != "one"] or ["one"]
    if len(counted) != 1 or re.search(r"\b(?:no|not)\b|n't\b|没|不", sentence):
        return
    if counted[0].casefold() != "one" or "1" in _last_results(earlier):
        yield counted[0]


def _numbers(text: str) -> set[str]:
    return {_key(n) for n in re.findall(_NUMBER, text)}


def _key(text: str) -> str:
    """What two mentions have in common that state the same number."""
    text = _TEXT_GROUP.sub("", _unwrapped(text)).replace("\\$", "$").replace("\\%", "%").strip(" .*")
    match = _PLAIN.fullmatch(text)
    if match is None:
        return re.sub(r"\s+", "", text)
    number = re.sub(r"[,\s]", "", match[2])
    return f"{match[1].replace('−', '-')}{Fraction(number)}"
