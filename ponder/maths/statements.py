"""Statements: what an answer is made of besides terms. A cleaned text in, `Tree` out, or Unreadable / TooLarge.

statement := clause (separator clause)*          several answers, in any order
clause    := filler* side (relation side)*       an equation, an inequality, a membership, or just a side
side      := set (('∪' | '∩' | '∖') set)* | term (':' term)* unit?
"""

from fractions import Fraction

from ponder.maths.lexer import Token, tokenize
from ponder.maths.plusminus import signed
from ponder.maths.tails import compound, scaled, tail
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
    Tree,
    Union,
    Unreadable,
)
from ponder.maths.units import Unit, read_unit
from ponder.maths.values import check_work
from ponder.maths.words import FILLERS, number_word

__all__ = ["REAL_LINE", "Statements"]

_CURRENCY = {"¤": "usd", "$": "usd", "€": "€", "£": "£", "¥": "¥"}
_CLOSINGS = {"(": (")", "]"), "[": ("]", ")"), "⟨": ("⟩",)}
REAL_LINE = Bracket("(", ")", (Apply("neg", (Symbol("inf"),)), Symbol("inf")))


class Statements:
    """One pass over an answer."""

    def __init__(self, cleaned: str) -> None:
        self.terms = Terms(tokenize(cleaned), self.bracketed)
        self.nested = 0

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
        self.nested += 1
        items = self.answers()
        word = ","
        while self.terms.peek().kind == "separator":
            while self.terms.peek().kind == "separator":
                separator = self.terms.next().text
                word = separator if separator in ("or", "and") and word == "," else word
            if self.terms.peek().kind == "end" or self.terms.at(")", "]", "}", "\\}", "⟩"):
                break
            items += self.answers()
        self.nested -= 1
        whole = compound(items) if word == "and" else None
        if len(items) == 1 or whole is not None:
            return whole or items[0]
        return Many(tuple(items), "or" if word == "or" else "and" if word == "and" else ",")

    def answers(self) -> list[Tree]:
        """A clause, which a sign of plus or minus makes several answers of; inside brackets it waits for the whole."""
        clause = self.clause()
        return signed(clause) if self.nested == 1 else [clause]

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
        if value == REAL_LINE and self.terms.at("-") and self.terms.peek(1).text in ("\\{", "{"):
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
            return REAL_LINE
        minus = self.terms.at("-") and self.terms.peek(1).text in _CURRENCY
        if minus:
            self.terms.next()
        if self.terms.at(*_CURRENCY):
            unit = read_unit(_CURRENCY[self.terms.next().text])
            assert unit is not None
            value = scaled(self.terms, self.terms.sum())
            tail(self.terms)
            return Measure(Apply("neg", (value,)) if minus else value, unit)
        number = number_word(token.text) if token.kind == "word" else None
        if number is not None:
            self.terms.next()
            value = Number(number)
        else:
            value = self.terms.sum()
        if isinstance(value, Bracket | Matrix | Based):
            return value
        value = scaled(self.terms, value)
        start = self.terms.position
        found = tail(self.terms)
        if found is None and isinstance(value, Symbol) and self.terms.position > start:
            raise Unreadable(f"the word {self.terms.tokens[start].text!r} after a name is not understood")
        if found is None:
            return value
        if found.dimension == "count":
            return Measure(Apply("*", (value, Number(found.factor))), Unit("count", Fraction(1)), found.factor)
        measures = [Measure(value, found)]
        while self.terms.peek().kind == "number":  # "5 feet 3 inches"
            more = self.terms.sum()
            unit = tail(self.terms)
            if unit is None:
                raise Unreadable("a number without a unit stands after one with a unit")
            measures.append(Measure(more, unit))
        whole = compound(measures)
        if whole is None:
            raise Unreadable("measures of different kinds stand beside each other")
        return whole

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
