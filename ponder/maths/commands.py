"""LaTeX commands that are terms: fractions, roots, sums, figures, matrices. The tokens from the command on in, the tree
out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.maths.matrices import read_matrix
from ponder.maths.tree import Apply, Symbol, Tree, Unreadable

if TYPE_CHECKING:
    from ponder.maths.terms import Terms

__all__ = ["degree", "read_command"]


def read_command(terms: Terms) -> Tree:
    """The term that begins with a command."""
    token = terms.next()
    match token.text:
        case "frac":
            top = terms.argument()
            return Apply("/", (top, terms.argument()))
        case "binom":
            top = terms.argument()
            return Apply("binom", (top, terms.argument()))
        case "sqrt":
            root = degree(terms)
            argument = terms.bracketed() if terms.at("(") else terms.argument()
            return Apply("sqrt", (argument,)) if root is None else Apply("root", (argument, root))
        case "radical":  # the sign, which unlike the command takes a whole number
            root = degree(terms)
            argument = terms.primary()
            return Apply("sqrt", (argument,)) if root is None else Apply("root", (argument, root))
        case "overline" | "angle" | "triangle":
            return _figure(terms, token.text)
        case "sum" | "prod":
            return _bounded(terms, token.text)
        case "begin":
            return read_matrix(terms)
    raise Unreadable(f"the command \\{token.text} is not understood here")


def degree(terms: Terms) -> Tree | None:
    """The degree of a root, in square brackets."""
    if not terms.at("["):
        return None
    terms.next()
    value = terms.sum()
    terms.expect("]")
    return value


def _figure(terms: Terms, kind: str) -> Tree:
    """A named figure such as \\overline{AB} or \\angle ABC: one symbol."""
    braced = terms.at("{")
    if braced:
        terms.next()
    letters: list[str] = []
    while terms.peek().kind == "name" and (braced or not letters or terms.peek().glued):
        letters.append(terms.next().text)
    if braced:
        terms.expect("}")
    if not letters:
        raise Unreadable(f"\\{kind} stands before what is no name")
    return Symbol(f"{kind} {''.join(letters)}")


def _bounded(terms: Terms, kind: str) -> Tree:
    """A sum or product over an index, kept with its bounds."""
    terms.expect("_")
    terms.expect("{")
    index = terms.next()
    sign = terms.next()
    if index.kind != "name" or sign.text != "=":
        raise Unreadable(f"the index of \\{kind} is not understood")
    low = terms.sum()
    terms.expect("}")
    terms.expect("^")
    high = terms.exponent()
    return Apply(kind, (Symbol(index.text), low, high, terms.product()))
