"""What a mathematical answer means: the values that the reader makes and the comparison takes.

A small tree per answer. `Number`, `Symbol` and `Apply` are terms; the rest is what answers are made of besides terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from ponder.maths.units import Unit

__all__ = [
    "CONSTANTS",
    "MAX_DEPTH",
    "Apply",
    "Based",
    "Bracket",
    "Many",
    "Matrix",
    "Measure",
    "Number",
    "Ratio",
    "Relation",
    "Symbol",
    "Text",
    "TooLarge",
    "Tree",
    "Union",
    "Unreadable",
    "children",
    "contains",
    "free_symbols",
]

MAX_DEPTH = 40
"""Of terms in terms."""

CONSTANTS = frozenset({"pi", "e", "i", "inf"})
"""Symbols that are numbers."""


class Unreadable(ValueError):
    """The text is not an answer the reader knows; the message says where it stopped."""


class TooLarge(ValueError):
    """A value is too large to be computed within the limits."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written. `places` counts the digits after the decimal point; None for whole and exact numbers."""

    value: Fraction
    places: int | None = None


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable or a constant. Example: Symbol("x_1"), Symbol("pi")."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operation on terms. Example: Apply("+", (Symbol("x"), Number(Fraction(1))))."""

    name: str
    args: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Bracket:
    """Items between written brackets: a point, an interval, a list, or (with braces) a set."""

    opening: str
    closing: str
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """Several answers without brackets, in any order: "1, 2", "1 or 2", "1 \\pm 2"; `word` joins them."""

    items: tuple[Tree, ...]
    word: Literal[",", "or", "and"] = ","


@dataclass(frozen=True, slots=True)
class Relation:
    """A chain of equations or inequalities. Example: 1 < x <= 3 has the signs ("<", "<=") and three sides."""

    signs: tuple[str, ...]
    sides: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """A union of sets."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of equal length."""

    rows: tuple[tuple[Tree, ...], ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A value with a unit that the reader knows. "1 hour 30 minutes" is 90 minutes with `larger` 60, the other way to
    give it in one unit."""

    value: Tree
    unit: Unit
    larger: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a written base. Example: 40_9."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Terms separated by colons: a ratio, or a time of day where a term has a leading zero."""

    items: tuple[Tree, ...]
    clock: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A plain text answer, normalised. Example: Text("evelyn")."""

    words: str


Tree: TypeAlias = Number | Symbol | Apply | Bracket | Many | Relation | Union | Matrix | Measure | Based | Ratio | Text


def children(tree: Tree) -> tuple[Tree, ...]:
    """The direct parts of a tree."""
    match tree:
        case Apply(_, args):
            return args
        case Bracket(items=items) | Many(items) | Union(items) | Ratio(items=items):
            return items
        case Relation(_, sides):
            return sides
        case Matrix(rows):
            return tuple(item for row in rows for item in row)
        case Measure(value):
            return (value,)
        case _:
            return ()


def _walk(tree: Tree) -> Iterator[Tree]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def free_symbols(tree: Tree) -> frozenset[str]:
    """The names of the variables."""
    if isinstance(tree, Number):
        return frozenset()
    return frozenset(n.name for n in _walk(tree) if isinstance(n, Symbol) and n.name not in CONSTANTS)


def contains(tree: Tree, *names: str) -> bool:
    """Whether an operation or a symbol of one of these names occurs."""
    return any(isinstance(n, Apply | Symbol) and n.name in names for n in _walk(tree))
