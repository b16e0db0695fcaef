"""The reader: an answer as written becomes a tree. Text in, `Tree` out, or Unreadable / TooLarge with the reason.

statement := clause (separator clause)*          several answers, in any order
clause    := filler* side (relation side)*       an equation, an inequality, a membership, or just a side
side      := set (('∪' | '∩' | '∖') set)* | term (':' term)* unit?
Terms are read by `terms`; this file adds what an answer is made of besides terms. The length, the number of tokens, the
digits of a number and the depth are bounded before anything is computed.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from ponder.maths.lexer import Token, tokenize
from ponder.maths.notation import clean, text_key
from ponder.maths.terms import Terms
from ponder.maths.tree import (
    Apply,
    Based,
    Bracket,
    Many,
    Matrix,
    Measure,
    Number,
    Ratio,
    Relation,
    Symbol,
    Text,
    TooLarge,
    Tree,
    Union,
    Unreadable,
    contains,
)
from ponder.maths.units import Unit, read_unit
from ponder.maths.values import check_work
from ponder.maths.words import EMPTY_SET, FILLERS, MULTIPLIERS, REALS, SENSE_CHANGING, chinese_number, number_word

__all__ = ["MAX_READ_CHARS", "read", "read_measure"]

MAX_READ_CHARS = 1_500
_MAX_TAIL = 6
"""Words after a number that may say what is counted."""

_CURRENCY = {"¤": "usd", "$": "usd", "€": "€", "£": "£", "¥": "¥"}
_LABEL = re.compile(
    r"(?P<call>[A-Za-z](?:_\{?\w{1,3}\}?)?'{0,2}\s*\(\s*[A-Za-z0-9](?:\s*,\s*[A-Za-z0-9])*\s*\))\s*=(?!=)"
    r"|(?P<point>\(\s*[a-z](?:_\{?\w\}?)?(?:\s*,\s*[a-z](?:_\{?\w\}?)?)+\s*\))\s*="
    r"|(?P<figure>[A-Z]{2,4}|\|[A-Z]{2}\|)\s*="
    r"|(?P<words>\\text\s*\{[^{}=]*\}|(?:[A-Za-z]{3,}\s+){0,5}[A-Za-z]{3,})\s*(?:\([A-Za-z ]{1,20}\))?\s*[=:](?=.)"
)
_TO_RATIO = re.compile(r"(\d{1,9}) to (\d{1,9})")
_NOTE = re.compile(r"\s*\(\s*(?:\\text\s*\{[^{}\d]*\}|[A-Za-z]{3,}(?: [A-Za-z]+)*|[\u3400-\u9fff]+)\s*\)$")
_LETTERS = re.compile(r"\\text\s*\{\s*([A-Z](?:\s*(?:,|and)\s*[A-Z])+)\s*\}")
_QUANTIFIED = re.compile(
    r"(.*?[^\s,(])[\s,(]*(?:\\text\s*\{)?\s*(?:for (?:some|all|any|every|each)|where)\b(?:.*[a-zA-Z].*)"
)
_LETTER = re.compile(r"\\text\s*\{\s*\(?([A-Za-z])\)?\s*\}")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:\\text\s*\{)?\s*([ap]\.?\s?m\.?)?\s*\}?", re.IGNORECASE)
_DIGITS = "[零〇一二两三四五六七八九十百千万亿]+"
_CHINESE_COUNT = re.compile(
    rf"(负?)({_DIGITS}(?:点{_DIGITS}|(?:又{_DIGITS})?分之{_DIGITS}(?:点{_DIGITS})?)?)([\u3400-\u9fff]{{0,4}})"
)
_LETTER_UNIT = re.compile(
    r"(.*?[\d)}\]])\s*((?:m|g|s|h|L|l|km|cm|mm|kg|mg|ml|mL)(?:\s*\^\s*\{?[23]\}?)?(?:\s*/\s*(?:m|g|s|h|L|kg|min)(?:\^\{?[23]\}?)?)?)"
)
_CHINESE_SENSE = frozenset("或不至到半倍无没非方又上下")


@lru_cache(maxsize=4096)
def read(text: str) -> Tree:
    """The meaning of `text`. Raises Unreadable where it has none and TooLarge beyond the limits."""
    if len(text) > MAX_READ_CHARS:
        raise TooLarge(f"it has more than {MAX_READ_CHARS} characters")
    cleaned = clean(text)
    if not cleaned:
        raise Unreadable("it is empty")
    special = _special(cleaned)
    if special is not None:
        return special
    cleaned = _for_some(_NOTE.sub("", cleaned))
    label = _LABEL.match(cleaned)
    if label is None:
        return _Reader(cleaned).run()
    value = _Reader(cleaned[label.end() :]).run()
    name = Symbol(re.sub(r"\s|\\text", "", next(g for g in label.groups() if g)).strip("{}"))
    if isinstance(value, Relation) and value.signs[0] in ("=", "~"):
        return Relation(("=", *value.signs), (name, *value.sides))
    if isinstance(value, Many) and any(isinstance(item, Relation) for item in value.items[1:]):
        first = Relation(("=",), (name, value.items[0]))  # "AB = 4, CD = 5"
        return Many((first, *value.items[1:]), value.word)
    return Relation(("=",), (name, value))


@lru_cache(maxsize=1024)
def read_measure(text: str) -> Measure | None:
    """A value before a unit of one letter, which `read` takes for a variable: "5 m", "3 m/s"."""
    match = _LETTER_UNIT.fullmatch(clean(text))
    unit = read_unit(match[2]) if match else None
    if match is None or unit is None:
        return None
    return Measure(_Reader(match[1]).run(), unit)


def _for_some(cleaned: str) -> str:
    """A formula without what it says of its names: "a x for some a > 0"."""
    match = _QUANTIFIED.match(cleaned)
    return match[1] if match and re.search(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", match[1]) else cleaned


def _special(cleaned: str) -> Tree | None:
    key = text_key(cleaned)
    if key in EMPTY_SET:
        return Bracket("\\{", "\\}", ())
    if key in REALS:
        return _REAL_LINE
    letters = _LETTERS.fullmatch(cleaned)
    if letters is not None:
        return Many(tuple(Symbol(name) for name in re.findall(r"[A-Z]", letters[1].replace("and", ""))))
    letter = _LETTER.fullmatch(cleaned)
    if letter is not None:
        return Symbol(letter[1])
    number = number_word(key)
    if number is None:
        chinese = _CHINESE_COUNT.fullmatch(key)
        number = chinese_number(chinese[2]) if chinese and not set(chinese[3]) & _CHINESE_SENSE else None
        number = -number if number is not None and chinese and chinese[1] else number
    if number is not None:
        return Number(number)
    ratio = _TO_RATIO.fullmatch(cleaned)
    if ratio is not None:
        return Ratio(tuple(Number(Fraction(int(n))) for n in ratio.groups()))
    clock = _CLOCK.fullmatch(cleaned)
    if clock and (clock[4] or clock[2][0] == "0" or clock[3]) and int(clock[1]) < 25 and int(clock[2]) < 60:
        numbers = [Number(Fraction(int(g))) for g in clock.groups()[:3] if g]
        half = [Text((clock[4] or "").lower().replace(".", "").replace(" ", ""))] if clock[4] else []
        return Ratio((*numbers, *half), clock=True)
    return None


_CLOSINGS = {"(": (")", "]"), "[": ("]", ")"), "⟨": ("⟩",)}
_REAL_LINE = Bracket("(", ")", (Apply("neg", (Symbol("inf"),)), Symbol("inf")))


class _Reader:
    def __init__(self, cleaned: str) -> None:
        self.terms = Terms(tokenize(cleaned), self.bracketed)

    def run(self) -> Tree:
        while self.terms.peek().kind == "relation" and self.terms.peek().text in ("=", "~"):
            self.terms.next()
        tree = self.statement()
        token = self.terms.peek()
        if token.kind != "end":
            raise Unreadable(f"{token.text!r} is out of place")
        check_work(tree)
        return tree

    def statement(self) -> Tree:
        items = _signed(self.clause())
        word = ","
        while self.terms.peek().kind == "separator":
            while self.terms.peek().kind == "separator":
                separator = self.terms.next().text
                word = separator if separator in ("or", "and") and word == "," else word
            if self.terms.peek().kind == "end" or self.terms.at(")", "]", "}", "\\}", "⟩"):
                break
            items += _signed(self.clause())
        compound = _compound(items) if word == "and" else None
        if len(items) == 1 or compound is not None:
            return compound or items[0]
        return Many(tuple(items), "or" if word == "or" else "and" if word == "and" else ",")

    def clause(self) -> Tree:
        self.skip_fillers()
        signs: list[str] = []
        sides = [self.limit() or self.side()]
        while self.terms.peek().kind == "relation" or self.at_word("in"):
            signs.append(self.terms.next().text)
            self.skip_fillers()
            sides.append(self.side())
        return Relation(tuple(signs), tuple(sides)) if signs else sides[0]

    def limit(self) -> Tree | None:
        """ "\\lim ... =" as a name: what stands behind the sign is its value."""
        if self.terms.peek().text not in ("lim", "int") or self.terms.peek().kind != "command":
            return None
        parts: list[str] = []
        while self.terms.peek().text != "=" or self.terms.peek().kind != "relation":
            if self.terms.peek().kind == "end":
                raise Unreadable(f"the command \\{parts[0]} is not understood")
            parts.append(self.terms.next().text)
        return Symbol(" ".join(parts))

    def skip_fillers(self) -> None:
        while self.terms.peek().kind == "word" and self.terms.peek().text.casefold() in FILLERS:
            self.terms.next()
        if self.terms.peek().kind == "relation" and self.terms.peek().text == "~":
            self.terms.next()

    def at_word(self, word: str) -> bool:
        return self.terms.peek().kind == "word" and self.terms.peek().text == word

    def side(self) -> Tree:
        value = self.operand()
        if value == _REAL_LINE and self.terms.at("-") and self.terms.peek(1).text in ("\\{", "{"):
            self.terms.tokens[self.terms.position] = Token("sign", "∖")
        if self.terms.at("∪"):
            items = [value]
            while self.terms.at("∪"):
                self.terms.next()
                items.append(self.operand())
            return Union(tuple(items))
        if self.terms.at("∖"):
            self.terms.next()
            return Apply("∖", (value, self.operand()))
        if self.terms.at(":"):
            items = [value]
            while self.terms.at(":"):
                self.terms.next()
                items.append(self.terms.sum())
            return Ratio(tuple(items))
        return value

    def operand(self) -> Tree:
        if self.terms.at("∅"):
            self.terms.next()
            return Bracket("\\{", "\\}", ())
        token = self.terms.peek()
        if token.kind == "name" and token.text == "reals":
            self.terms.next()
            return _REAL_LINE
        minus = self.terms.at("-") and self.terms.peek(1).text in _CURRENCY
        if minus:
            self.terms.next()
        if self.terms.at(*_CURRENCY):
            unit = read_unit(_CURRENCY[self.terms.next().text])
            assert unit is not None
            value = self.scaled(self.terms.sum())
            self.tail()
            return Measure(Apply("neg", (value,)) if minus else value, unit)
        number = number_word(token.text) if token.kind == "word" else None
        if number is not None:
            self.terms.next()
            value = Number(number)
        else:
            value = self.terms.sum()
        if isinstance(value, Bracket | Matrix | Based):
            return value
        value = self.scaled(value)
        start = self.terms.position
        found = self.tail()
        if found is None and isinstance(value, Symbol) and self.terms.position > start:
            raise Unreadable(f"the word {self.terms.tokens[start].text!r} after a name is not understood")
        if found is None:
            return value
        if found.dimension == "count":
            return Measure(Apply("*", (value, Number(found.factor))), Unit("count", Fraction(1)), found.factor)
        measures = [Measure(value, found)]
        while self.terms.peek().kind == "number":  # "5 feet 3 inches"
            more = self.terms.sum()
            unit = self.tail()
            if unit is None:
                raise Unreadable("a number without a unit stands after one with a unit")
            measures.append(Measure(more, unit))
        compound = _compound(measures)
        if compound is None:
            raise Unreadable("measures of different kinds stand beside each other")
        return compound

    def scaled(self, value: Tree) -> Tree:
        """A value times the multiplier after it: 5 million."""
        while self.terms.peek().kind == "word" and self.terms.peek().text.casefold().rstrip("s") in MULTIPLIERS:
            if self.terms.peek().text.casefold().startswith("dozen"):
                break  # a unit: "2 dozen" is 24, or 2 of what was asked for in dozens
            factor = MULTIPLIERS[self.terms.next().text.casefold().rstrip("s")]
            match value:
                case Number(written):
                    value = Number(written * factor)
                case Apply("/", (Number(written), bottom)):
                    value = Apply("/", (Number(written * factor), bottom))
                case _:
                    value = Apply("*", (value, Number(Fraction(factor))))
        return value

    def tail(self) -> Unit | None:
        """The unit after a value, or None where nothing or only a thing counted stands there ("18 eggs per day")."""
        words: list[str] = []
        while True:
            token, after = self.terms.peek(), self.terms.peek(1)
            inches = token.text.casefold() == "in" and (after.kind == "end" or after.text in ("^", ".", "/"))
            if (token.kind == "word" and (inches or token.text.casefold() != "in")) or (
                words
                and (
                    (token.text in ("/", "-") and after.kind in ("word", "name"))
                    or (token.kind == "name" and (words[-1] in ("/", "per", "a", "-") or token.text == "a"))
                )
            ):
                words.append(token.text)
            elif words and token.text == "^" and re.fullmatch(r"[23]", after.text):
                words.append("^" + self.terms.next().text.replace("^", after.text))
            elif words and token.text == "^" and after.text == "{" and self.terms.peek(3).text == "}":
                words.append("^" + self.terms.peek(2).text)
                self.terms.position += 3
            elif token.text in ("¢", "℃", "℉") or (words and token.text == "."):
                words.append(token.text)
            else:
                break
            self.terms.next()
        if not words:
            return None
        text = re.sub(r"\s*\^\s*", "^", re.sub(r"\s*/\s*", "/", " ".join(words)))
        unit = read_unit(text)
        if unit is not None:
            return unit
        first = read_unit(words[0])
        lowered = {w.casefold() for w in words}
        lowered -= set() if "than" in lowered else {"more"}  # "10 more years"
        if len(words) > _MAX_TAIL or lowered & SENSE_CHANGING or set("".join(words)) & _CHINESE_SENSE:
            raise Unreadable(f"the words {' '.join(words)!r} after a value are not understood")
        if any(re.search(r"(?:teen|ie|en|dred|and)ths$", w) for w in lowered):
            raise Unreadable(f"the words {' '.join(words)!r} after a value are a fraction")
        if any(number_word(w) is not None or w.casefold() in MULTIPLIERS for w in words):
            raise Unreadable(f"the words {' '.join(words)!r} after a value are not understood")
        return first if first is not None and (len(words) == 1 or words[1] not in ("/", "per", "^2", "^3")) else None

    def bracketed(self) -> Tree:
        terms = self.terms
        opening = terms.next().text
        if opening == "{":
            value = self.statement()
            terms.expect("}")
            return Bracket("\\{", "\\}", value.items) if isinstance(value, Many) else value
        if opening == "\\{":
            return self.set()
        if opening not in _CLOSINGS:
            raise Unreadable(f"{opening or 'the end'!r} stands where a bracket should")
        closings = _CLOSINGS[opening]
        if terms.at(*closings):
            raise Unreadable("a bracket is empty")
        outer_bars, terms.bars = terms.bars, 0
        value = self.statement()
        terms.bars = outer_bars
        closing = terms.next()
        if closing.kind != "sign" or closing.text not in closings:
            raise Unreadable("a bracket is not closed")
        if isinstance(value, Many):
            return Bracket(opening, closing.text, value.items)
        if (opening, closing.text) in (("(", ")"), ("[", "]")):
            return value if not isinstance(value, Bracket) or opening == "(" else Bracket("[", "]", (value,))
        raise Unreadable("brackets of two kinds around one value")

    def set(self) -> Tree:
        terms = self.terms
        if terms.at("\\}"):
            terms.next()
            return Bracket("\\{", "\\}", ())
        ahead = [terms.peek(i).text for i in range(4)]
        if terms.peek().kind == "name" and ahead[1] in ("|", ":"):
            terms.position += 2
            value: Tree = self.statement()
        elif terms.peek().kind == "name" and ahead[1] == "in" and ahead[3] in ("|", ":"):
            terms.position += 4
            value = self.statement()
        else:
            value = self.statement()
            value = Bracket("\\{", "\\}", value.items if isinstance(value, Many) else (value,))
        terms.expect("\\}")
        return value


def _compound(items: Sequence[Tree]) -> Measure | None:
    """One measure of what is given in several units of one kind, from large to small: "5 feet 3 inches"."""
    measures = [i for i in items if isinstance(i, Measure)]
    if len(measures) < len(items):
        return None
    units = [m.unit for m in measures]
    if len({u.dimension for u in units}) > 1 or any(a.factor <= b.factor for a, b in pairwise(units)):
        return None
    smallest = units[-1]
    total = measures[-1].value
    for measure in measures[:-1]:
        part = Apply("*", (measure.value, Number(measure.unit.factor / smallest.factor)))
        total = Apply("+", (part, total))
    return Measure(total, smallest, units[0].factor / smallest.factor if len(units) > 1 else None)


def _signed(tree: Tree) -> list[Tree]:
    """A tree with plus-minus signs as the answers it stands for; the signs of one answer go together."""
    if not contains(tree, "±", "∓"):
        return [tree]
    if isinstance(tree, Bracket):
        items = tuple(part for item in tree.items for part in _signed(item))
        return [Bracket(tree.opening, tree.closing, items)] if tree.opening == "\\{" else _both(tree)
    return _both(tree)


def _both(tree: Tree) -> list[Tree]:
    return [_with_sign(tree, upper=True), _with_sign(tree, upper=False)]


def _with_sign(tree: Tree, *, upper: bool) -> Tree:
    def part(node: Tree) -> Tree:
        return _with_sign(node, upper=upper)

    match tree:
        case Apply(name, args):
            name = {"±": "+" if upper else "-", "∓": "-" if upper else "+"}.get(name, name)
            return Apply(name, tuple(part(a) for a in args))
        case Bracket(opening, closing, items):
            return Bracket(opening, closing, tuple(part(i) for i in items))
        case Relation(signs, sides):
            return Relation(signs, tuple(part(s) for s in sides))
        case Measure(value, unit):
            return Measure(part(value), unit)
        case Many(items, word):
            return Many(tuple(part(i) for i in items), word)
        case Matrix(rows):
            return Matrix(tuple(tuple(part(i) for i in row) for row in rows))
        case _:
            return tree
