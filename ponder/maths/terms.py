"""Terms: sums, products, powers, functions. Tokens in, tree out, by recursive descent with a bounded depth.

sum     := product (('+' | '-' | '±' | '∓') product)*
product := unary (('*' | '/' | nothing) unary)*          nothing: implicit multiplication, as strong as '*'
unary   := ('-' | '+' | '±' | '∓') unary | power
power   := postfix ('^' exponent)?
postfix := primary ('!' | '%' | '°' | "'")*
Functions and commands are read by the files of these names. A whole number right before a fraction of whole numbers is
a mixed number. What a primary in brackets may hold besides a term (points, intervals, sets) is the business of
`statements`, which this class calls back.
"""

from collections.abc import Callable
from fractions import Fraction

from ponder.maths.commands import read_command
from ponder.maths.decimals import decimal, mixed
from ponder.maths.functions import read_function
from ponder.maths.lexer import Token
from ponder.maths.tree import MAX_DEPTH, Apply, Based, Number, Symbol, TooLarge, Tree, Unreadable
from ponder.maths.words import number_word

__all__ = ["Terms"]


class Terms:
    """One pass over the tokens of one answer. `bracketed` reads what stands in brackets, from the opening on."""

    def __init__(self, tokens: list[Token], bracketed: Callable[[], Tree]) -> None:
        self.tokens = tokens
        self.count = len(tokens)
        self.position = 0
        self.depth = 0
        self.bars = 0
        self.bracketed = bracketed

    def peek(self, ahead: int = 0) -> Token:
        place = self.position + ahead
        return self.tokens[place] if place < self.count else self.tokens[-1]

    def next(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def at(self, *signs: str) -> bool:
        token = self.peek()
        return token.kind == "sign" and token.text in signs

    def expect(self, sign: str) -> None:
        token = self.next()
        if token.kind != "sign" or token.text != sign:
            raise Unreadable(f"{token.text or 'the end'!r} stands where {sign!r} should")

    def sum(self) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"it nests deeper than {MAX_DEPTH}")
        value = self.product()
        while self.at("+", "-", "±", "∓"):
            value = Apply(self.next().text, (value, self.product()))
        self.depth -= 1
        return value

    def product(self) -> Tree:
        value = self.unary()
        while True:
            if self.at("*", "/", "mod"):
                value = Apply(self.next().text, (value, self.unary()))
            elif self.starts_primary():
                value = Apply("*", (value, self.power()))
            else:
                return value

    def unary(self) -> Tree:
        signs: list[str] = []
        while self.at("-", "+", "±", "∓"):
            signs.append(self.next().text)
        if len(signs) > MAX_DEPTH:
            raise TooLarge(f"more than {MAX_DEPTH} signs stand before a value")
        value = self.power()
        for sign in reversed(signs):
            if sign == "-":
                value = _negative(value)
            elif sign != "+":
                value = Apply(sign, (Number(Fraction(0)), value))
        return value

    def power(self) -> Tree:
        base = self.postfix()
        if not self.at("^"):
            return base
        self.next()
        exponent = self.exponent()
        return Apply("^", (base, exponent))

    def postfix(self) -> Tree:
        value = self.primary()
        while self.at("!", "%", "°", "'"):
            sign = self.next().text
            if sign == "'":
                if not isinstance(value, Symbol):
                    raise Unreadable("a prime stands after what is no name")
                value = Symbol(value.name + "'")
            else:
                value = Apply({"°": "deg"}.get(sign, sign), (value,))
        return value

    def primary(self) -> Tree:
        token = self.peek()
        match token.kind:
            case "number":
                return self._number()
            case "name":
                return self._name()
            case "function":
                return read_function(self)
            case "command":
                return read_command(self)
            case "sign" if token.text in ("(", "[", "{", "\\{", "⟨"):
                return self.bracketed()
            case "sign" if token.text == "|":
                return self._bars()
            case "sign" if token.text in ("⌊", "⌈"):
                self.next()
                value = self.sum()
                self.expect("⌋" if token.text == "⌊" else "⌉")
                return Apply("floor" if token.text == "⌊" else "ceil", (value,))
            case "sign" if token.text == "…":
                self.next()
                return Symbol("...")
        raise Unreadable(f"{token.text or 'the end'!r} stands where a value should")

    def starts_primary(self) -> bool:
        token = self.peek()
        if token.kind == "number":
            # "2 3" is no product, and "x2" is as likely a slip for x_2 or x^2.
            before = self.tokens[self.position - 1]
            powers = self.tokens[self.position - 2].text == "^" and self.peek(1).text == "^"  # 2^2 3^4
            return powers or before.kind not in ("number", "name")
        if token.kind in ("name", "function"):
            return True
        if token.kind == "command":
            return token.text in ("frac", "binom", "sqrt", "radical", "overline", "sum", "prod", "begin")
        if token.kind != "sign":
            return False
        return token.text in ("(", "[", "{", "⌊", "⌈") or (token.text == "|" and self.bars == 0)

    def _number(self) -> Tree:
        token = self.next()
        if self.at("_"):
            return self._based(token.text)
        value = decimal(token.text)
        whole = token.text.isdigit()
        if whole and self.peek().kind == "command" and self.peek().text == "frac":
            start = self.position
            part = read_command(self)
            if isinstance(part, Apply) and all(isinstance(a, Number) and a.places is None for a in part.args):
                return mixed(value, part)
            self.position = start
        if whole and not self.peek().glued and self._plain_fraction_follows():
            top, bottom = self.next().text, (self.next(), self.next())[1].text
            return mixed(value, Apply("/", (Number(Fraction(int(top))), Number(Fraction(int(bottom))))))
        return value

    def _plain_fraction_follows(self) -> bool:
        top, slash, bottom = self.peek(), self.peek(1), self.peek(2)
        return (
            top.kind == bottom.kind == "number" and slash.text == "/" and top.text.isdigit() and bottom.text.isdigit()
        )

    def _based(self, digits: str) -> Tree:
        self.expect("_")
        braced = self.at("{")
        if braced:
            self.next()
        token = self.next()
        if braced:
            self.expect("}")
        named = number_word(token.text) if token.kind == "word" else None  # 4210_{\text{five}}
        base = int(token.text[:3]) if token.kind == "number" and token.text.isdigit() else int(named or 0)
        if not 2 <= base <= 36 or not digits.isdigit():
            raise Unreadable("a number has a subscript that is no base")
        if any(int(d) >= base for d in digits):
            raise Unreadable(f"{digits} has a digit that base {base} lacks")
        return Based(digits.lstrip("0") or "0", base)

    def _name(self) -> Tree:
        name = self.next().text
        if not self.at("_"):
            return Symbol(name)
        self.next()
        if not self.at("{"):
            return Symbol(f"{name}_{self.next().text}")
        self.next()
        parts: list[str] = []
        while not self.at("}"):
            if self.peek().kind == "end":
                raise Unreadable("a subscript is not closed")
            parts.append(self.next().text)
        self.next()
        return Symbol(f"{name}_{''.join(parts)}")

    def argument(self) -> Tree:
        """What a LaTeX command takes: a group, or one character."""
        if self.at("{"):
            return self.bracketed()
        token = self.peek()
        if token.kind == "number" and token.text.isdigit() and len(token.text) > 1:
            self.tokens[self.position] = Token("number", token.text[1:], True)
            return Number(Fraction(int(token.text[0])))
        if token.kind == "number":
            self.next()
            return decimal(token.text)
        if token.kind == "name":
            self.next()
            return Symbol(token.text)
        return self.primary()

    def exponent(self) -> Tree:
        if self.at("{"):
            return self.bracketed()
        if self.at("-", "+"):
            return Apply("neg", (self.power(),)) if self.next().text == "-" else self.power()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooLarge(f"it nests deeper than {MAX_DEPTH}")
        value = self.primary()
        if self.at("^"):  # 9^9^9 is 9^(9^9)
            self.next()
            value = Apply("^", (value, self.exponent()))
        self.depth -= 1
        return value

    def _bars(self) -> Tree:
        self.next()
        if self.bars:
            raise Unreadable("bars in bars are ambiguous")
        self.bars += 1
        value = self.sum()
        self.expect("|")
        self.bars -= 1
        return Apply("abs", (value,))


def _negative(value: Tree) -> Tree:
    """The sign stands with the number, inside a degree or a percent sign."""
    match value:
        case Number(number, places):
            return Number(-number, places)
        case Apply("deg" | "%" as name, (Number(number, places),)):
            return Apply(name, (Number(-number, places),))
        case Based(digits, base):
            return Based(f"-{digits}", base)
        case _:
            return Apply("neg", (value,))
