"""The reader: an answer as written becomes a tree. Text in, `Tree` out, or Unreadable / TooLarge with the reason.

An answer is one of the `spellings`, or a statement (`statements`) behind an optional label ("f(x) = ...", "AB = ...").
The length, the number of tokens, the digits of a number and the depth are bounded before anything is computed.
"""

import re
from functools import lru_cache

from ponder.maths.decimals import decimal
from ponder.maths.notation import clean, text_key
from ponder.maths.opening import stopping_word
from ponder.maths.spellings import special
from ponder.maths.statements import Statements
from ponder.maths.tree import Bracket, Many, Measure, Relation, Symbol, Text, TooLarge, Tree, Unreadable
from ponder.maths.units import read_unit
from ponder.maths.words import SENSE_CHANGING

__all__ = ["MAX_READ_CHARS", "integers_of", "read", "read_measure"]

MAX_READ_CHARS = 1_500
_LABEL = re.compile(
    r"(?P<call>[A-Za-z](?:_\{?\w{1,3}\}?)?'{0,2}\s*\(\s*[A-Za-z0-9](?:\s*,\s*[A-Za-z0-9])*\s*\))\s*=(?!=)"
    r"|(?P<point>\(\s*[a-z](?:_\{?\w\}?)?(?:\s*,\s*[a-z](?:_\{?\w\}?)?)+\s*\))\s*="
    r"|(?P<figure>[A-Z]{2,4}|\|[A-Z](?:\s*(?:\\cup|\\cap)?\s*[A-Z])*\||[nP]\s*\([^()=]{1,30}\))\s*="
    r"|(?P<words>\\text\s*\{[^{}=]*\}|(?:[A-Za-z]{3,}\s+){0,5}[A-Za-z]{3,})\s*(?:\([A-Za-z ]{1,20}\))?\s*[=:](?=.)"
)
_NO_RESULT = re.compile(
    r"(?:given|note|let|suppose|assume|example|problem|question|hint|step|recall|check|verification|explanation)\b",
    re.IGNORECASE,
)
_NOTE = re.compile(r"\s*\(\s*(?:\\text\s*\{[^{}\d]*\}|[A-Za-z]{3,}(?: [A-Za-z]+)*|[\u3400-\u9fff]+)\s*\)$")
_QUANTIFIED = re.compile(
    r"(.*?[^\s,(])[\s,(]*(?:\\text\s*\{)?\s*(?:for (?:some|all|any|every|each)|where)\b(?:.*[a-zA-Z].*)"
)
_INTEGERS = re.compile(
    r"[\s,;(]*(?:\\text\s*\{\s*(?:where|with|for|and)?\s*\})?\s*(?<![A-Za-z])(?P<letter>[a-z])\s*"
    r"\\in\s*\\text\{set (?P<set>[ZN])\}\s*\)?\s*$"
)
_CASES = re.compile(
    r"(?:[A-Za-z](?:\([a-z]\))?\s*=)?\s*(?:\\\{)?\s*\\begin\s*\{cases\}(?P<rows>(?:(?!\\begin).)*)\\end\s*\{cases\}",
    re.DOTALL,
)
_IF = re.compile(r"^\s*(?:\\text\s*\{\s*(?:,\s*)?(?:if|for|when)\s*\}|(?:if|for|when)\b)")
_SMALL_UNIT = r"(?:km|cm|mm|kg|mg|ml|mL|m|g|s|h|L|l)"
_BELOW = r"(?:min|kg|ml|mL|km|cm|mm|m|g|s|h|L)(?:\s*\^\s*\{?[23]\}?)?"
_LETTER_UNIT = re.compile(
    rf"(?:[A-Za-z]\s*=)?(.*?[\d)}}\]])\s*({_SMALL_UNIT}(?:\s*\^\s*\{{?[23]\}}?)?(?:\s*/\s*{_BELOW})?)"
)
_RATE = re.compile(r"/\s*(?:min|[kcm][gmlL])(?:\s*\^\s*\{?[23]\}?)?$")
"""The end of a rate that is no product of letters: L/min, g/cm^3."""
_AMOUNT = re.compile(r"(\\?\$)?(\d{1,3}(?:,\d{3}){1,9}|\d{1,60})(\.\d{1,60})?(?: ([a-z]{4,}))?")
"""What most answers are: a number, with dollars or a unit whose name means nothing else."""


@lru_cache(maxsize=4096)
def read(text: str) -> Tree:
    """The meaning of `text`. Raises Unreadable where it has none and TooLarge beyond the limits."""
    if len(text) > MAX_READ_CHARS:
        raise TooLarge(f"it has more than {MAX_READ_CHARS} characters")
    amount = _amount(text)
    if amount is not None:
        return amount
    stopped = stopping_word(text)
    if stopped is not None:
        raise Unreadable(f"{stopped!r} stands where a value should")
    cleaned = clean(text)
    if not cleaned:
        raise Unreadable("it is empty")
    if "/" in cleaned and _RATE.search(cleaned) and (measure := read_measure(text)) is not None:
        return measure
    spelt = special(cleaned) or _by_cases(cleaned)
    if spelt is not None:
        return spelt
    cleaned = _for_some(_NOTE.sub(_without_note, _INTEGERS.sub(_without_integers, cleaned)))
    label = _LABEL.match(cleaned)
    if label is None:
        return Statements(cleaned).run()
    if _NO_RESULT.match(cleaned):
        raise Unreadable("the label says that no result stands behind it")
    value = Statements(cleaned[label.end() :]).run()
    name = Symbol(re.sub(r"\s|\\text", "", next(g for g in label.groups() if g)).strip("{}"))
    if isinstance(value, Relation) and value.signs[0] in ("=", "~"):
        return Relation(("=", *value.signs), (name, *value.sides))
    if isinstance(value, Many) and any(isinstance(item, Relation) for item in value.items[1:]):
        first = Relation(("=",), (name, value.items[0]))  # "AB = 4, CD = 5"
        read_as = Statements(label["call"]).run() if label["call"] else None
        return Many((first, *(_named(item, read_as, name) for item in value.items[1:])), value.word)
    return Relation(("=",), (name, value))


def _amount(text: str) -> Tree | None:
    """A number, or a measure of one, without the way that longer answers take."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    dollars, whole, places, name = match.groups(default="")
    value = decimal(whole.replace(",", "") + places)
    if not dollars and not name:
        return value
    unit = read_unit("usd" if dollars else name)
    plain = unit is not None and unit.dimension != "count" and not (dollars and name)
    return Measure(value, unit) if unit is not None and plain else None


def integers_of(text: str) -> tuple[str, str] | None:
    """The letter that stands for every integer in "k \\pi, k \\in \\mathbb{Z}", and of which set."""
    match = _INTEGERS.search(clean(text))
    return (match["letter"], match["set"]) if match else None


@lru_cache(maxsize=1024)
def read_measure(text: str) -> Measure | None:
    """A value before a unit of one letter, which `read` takes for a variable: "5 m", "3 m/s"."""
    match = _LETTER_UNIT.fullmatch(clean(text))
    unit = read_unit(match[2]) if match else None
    if match is None or unit is None:
        return None
    return Measure(Statements(match[1]).run(), unit)


def _named(item: Tree, read_as: Tree | None, name: Symbol) -> Tree:
    """A later "f(n) = 2" of the same list, whose left side was read as a product."""
    if read_as is None or not isinstance(item, Relation) or item.sides[0] != read_as:
        return item
    return Relation(item.signs, (name, *item.sides[1:]))


def _without_integers(match: re.Match[str]) -> str:
    known = re.search(rf"(?<![\\A-Za-z]){match['letter']}(?![A-Za-z])", match.string[: match.start()])
    return "" if known else match[0]


def _by_cases(cleaned: str) -> Tree | None:
    """A function by cases, a value and a condition a row; without conditions a system of equations."""
    match = _CASES.fullmatch(cleaned)
    if match is None:
        return None
    rows = [row.split("&") for row in match["rows"].split("\\\\") if row.strip(" &")]
    if any(len(row) > 2 for row in rows) or len({len(row) for row in rows}) != 1:
        raise Unreadable("the rows of the cases are not of a value and a condition")
    if len(rows[0]) == 1:
        return Many(tuple(read(row[0]) for row in rows), "and")
    cases = [Bracket("row", "row", (read(value.strip(" ,")), _condition(when))) for value, when in rows]
    return Bracket("cases", "cases", tuple(cases))


def _condition(text: str) -> Tree:
    text = _IF.sub("", text).strip(" ,.")
    key = text_key(text)
    return Text("otherwise") if key in ("otherwise", "else") else read(text)


def _without_note(match: re.Match[str]) -> str:
    """A note in brackets is left out where it cannot change the sense: not "(incorrect)"."""
    return match[0] if SENSE_CHANGING & set(re.findall(r"[a-z]+", match[0].casefold())) else ""


def _for_some(cleaned: str) -> str:
    """A formula without what it says of its names: "a x for some a > 0"."""
    match = _QUANTIFIED.match(cleaned)
    return match[1] if match and re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", match[1]) else cleaned
