"""Functions and their arguments: "sin^2 x", "log_2 8", "gcd(4, 6)". The tokens from the name on in, the tree out."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ponder.maths.commands import degree
from ponder.maths.tree import MAX_DEPTH, Apply, Bracket, Number, Symbol, TooLarge, Tree, Unreadable

if TYPE_CHECKING:
    from ponder.maths.terms import Terms

__all__ = ["read_function"]

_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "ceiling": "ceil", "lg": "log10", "abs": "abs"}
_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc"}
_MANY_ARGUMENTS = frozenset({"gcd", "lcm", "max", "min"})


def read_function(terms: Terms) -> Tree:
    """A function with its exponent, base and argument."""
    name = terms.next().text
    name = _ALIASES.get(name, name)
    base: Tree | None = None
    exponent: Tree | None = None
    root: Tree | None = None
    while terms.at("_", "^"):
        if terms.next().text == "_":
            base = terms.argument()
        else:
            exponent = terms.exponent()
    if name == "sqrt":
        root = degree(terms)
    value: Tree
    if name in _MANY_ARGUMENTS:
        value = terms.bracketed() if terms.at("(", "{", "\\{") else Symbol(name)
        if not isinstance(value, Bracket) or value.opening not in ("(", "{", "\\{"):
            raise Unreadable(f"{name} needs several arguments in brackets")
        return Apply(name, value.items)
    argument = _argument_of(terms)
    if name == "log" and base is not None:
        value = Apply("logbase", (argument, base))
    elif base is not None:
        raise Unreadable(f"{name} has a subscript")
    elif name == "cbrt":
        value = Apply("root", (argument, Number(Fraction(3))))
    elif root is not None:
        value = Apply("root", (argument, root))
    elif name in _INVERSES and exponent == Number(Fraction(-1)):
        return Apply(_INVERSES[name], (argument,))
    else:
        value = Apply(name, (argument,))
    return value if exponent is None else Apply("^", (value, exponent))


def _argument_of(terms: Terms) -> Tree:
    """A bracket, or everything up to the next sign or function: sin 2x is sin(2x), sin x cos x is two factors."""
    if terms.at("(", "[", "{"):
        value = terms.bracketed()
        if terms.at("^") or terms.at("!"):
            raise Unreadable("a power after a function's bracket is ambiguous")
        return value
    terms.depth += 1
    if terms.depth > MAX_DEPTH:
        raise TooLarge(f"it nests deeper than {MAX_DEPTH}")
    value = terms.unary()
    while terms.starts_primary() and terms.peek().kind not in ("function",) and not terms.at("(", "|"):
        value = Apply("*", (value, terms.power()))
    terms.depth -= 1
    return value
