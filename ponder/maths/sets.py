"""Sets of real numbers: intervals, unions and the solutions of inequalities in one variable.

Tree in, `RealSet` out, or None where the tree is no such set. Compared by their pieces in order: open and closed ends
differ, a point differs from an interval.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ponder.maths.samevalue import is_constant, same_value
from ponder.maths.tree import Apply, Bracket, Many, Number, Relation, Symbol, Tree, Union, contains
from ponder.maths.values import Undefined, approximate

__all__ = ["RealSet", "is_surely_set", "real_set", "same_set"]

_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_INFINITY = Symbol("inf")
_MINUS_INFINITY = Apply("neg", (_INFINITY,))
_MAX_PIECES = 60


@dataclass(frozen=True, slots=True)
class Piece:
    """From `low` to `high`; the ends belong to it where they are closed."""

    low: Tree
    low_closed: bool
    high: Tree
    high_closed: bool


@dataclass(frozen=True, slots=True)
class RealSet:
    """Disjoint pieces in order, and the variable they were written for, if any."""

    pieces: tuple[Piece, ...]
    variable: str | None = None


def is_surely_set(tree: Tree) -> bool:
    """Whether a tree can only mean a set of reals: a union, a half-open bracket, an infinite end, an inequality."""
    match tree:
        case Union() | Apply("∖"):
            return True
        case Bracket(opening, closing, items):
            if opening in ("\\{", "row", "cases"):
                return False
            mixed = (opening, closing) not in (("(", ")"), ("[", "]"), ("⟨", "⟩"))
            return len(items) == 2 and (mixed or any(_is_infinite(i) for i in items))
        case Relation(signs):
            return any(s in ("<", "<=", ">", ">=", "!=", "in") for s in signs)
        case Many(items):
            return any(is_surely_set(i) for i in items if isinstance(i, Relation))
        case _:
            return False


def real_set(tree: Tree) -> RealSet | None:
    """The set that a tree means, or None."""
    try:
        return _real_set(tree)
    except Undefined:
        return None


def same_set(a: RealSet, b: RealSet) -> bool:
    """Whether two sets are equal; sets written for two different variables are not."""
    if a.variable is not None and b.variable is not None and a.variable != b.variable:
        return False
    if len(a.pieces) != len(b.pieces):
        return False
    return all(
        p.low_closed == q.low_closed
        and p.high_closed == q.high_closed
        and _same_end(p.low, q.low)
        and _same_end(p.high, q.high)
        for p, q in zip(a.pieces, b.pieces, strict=True)
    )


def _same_end(a: Tree, b: Tree) -> bool:
    if _is_infinite(a) or _is_infinite(b):
        return bool(_at(a) == _at(b))
    return same_value(a, b)


def _real_set(tree: Tree) -> RealSet | None:
    match tree:
        case Union(items):
            parts = [_real_set(i) for i in items]
            if any(p is None for p in parts):
                return None
            return RealSet(_merged([piece for p in parts if p is not None for piece in p.pieces]))
        case Bracket("\\{", "\\}", items):
            if not all(_is_end(i) for i in items):
                return None
            return RealSet(_merged([Piece(i, True, i, True) for i in items]))
        case Bracket(opening, closing, (low, high)) if opening in "([" and closing in ")][":
            if not (_is_end(low) and _is_end(high)) or not _at(low) < _at(high):
                return None
            return RealSet((Piece(low, opening == "[", high, closing == "]"),))
        case Apply("∖", (whole, holes)):
            return _without(_real_set(whole), _real_set(holes))
        case Relation(("in",), (Symbol(name), right)):
            inside = _real_set(right)
            return None if inside is None else RealSet(inside.pieces, name)
        case Relation(signs, sides):
            return _inequality(signs, sides)
        case Many(items, word):
            return _several(items, word)
        case _:
            return None


def _several(items: tuple[Tree, ...], word: str) -> RealSet | None:
    parts = [_real_set(i) for i in items]
    if not parts or any(p is None for p in parts) or not any(isinstance(i, Relation) for i in items):
        return None
    sets = [p for p in parts if p is not None]
    names = {s.variable for s in sets if s.variable is not None}
    if len(names) > 1:
        return None
    name = names.pop() if names else None
    if word == "or":
        return RealSet(_merged([piece for s in sets for piece in s.pieces]), name)
    result = sets[0]
    for other in sets[1:]:
        result = RealSet(_intersection(result.pieces, other.pieces), name)
    return RealSet(result.pieces, name)


def _inequality(signs: tuple[str, ...], sides: tuple[Tree, ...]) -> RealSet | None:
    if any(s not in _FLIP for s in signs):
        return None
    if len(sides) == 3 and isinstance(sides[1], Apply) and sides[1].name == "abs":
        parts = [_inequality(signs[i : i + 1], sides[i : i + 2]) for i in (0, 1)]
        first, second = parts
        if first is None or second is None:
            return None
        return RealSet(_intersection(first.pieces, second.pieces), first.variable)
    match sides:
        case (Apply("abs", (inner,)), end) if _is_end(end):
            return _distance(inner, signs[0], end)
        case (end, Apply("abs", (inner,))) if _is_end(end):
            return _distance(inner, _FLIP[signs[0]], end)
    unknowns = [(i, name) for i, s in enumerate(sides) if (name := _unknown(s)) is not None]
    if len(unknowns) != 1 or not all(_is_end(s) or i == unknowns[0][0] for i, s in enumerate(sides)):
        return None
    place, variable = unknowns[0]
    pieces: tuple[Piece, ...] = (Piece(_MINUS_INFINITY, False, _INFINITY, False),)
    for i, end in enumerate(sides):
        if i == place:
            continue
        between = signs[i:place] if i < place else signs[place:i]
        # In a chain 1 < x <= 3 only the sign beside the variable binds its end; the rest must point the same way.
        sign = _FLIP[between[-1]] if i < place else between[0]
        if abs(i - place) > 1:
            return None
        pieces = _intersection(pieces, _half(sign, end))
    return RealSet(pieces, variable)


def _unknown(side: Tree) -> str | None:
    """The name of a variable, or of a function of one: x, f(x)."""
    match side:
        case Symbol(name) if not is_constant(side):
            return name
        case Apply("*", (Symbol("f" | "g" | "h" as function), Symbol(name))):
            return f"{function}({name})"
        case _:
            return None


def _distance(inner: Tree, sign: str, end: Tree) -> RealSet | None:
    """The solutions of |x - c| < r and the like."""
    match inner:
        case Symbol(name):
            centre: Tree = Number(Fraction(0))
        case Apply("-", (Symbol(name), c)) if _is_end(c):
            centre = c
        case Apply("+", (Symbol(name), c)) if _is_end(c):
            centre = Apply("neg", (c,))
        case _:
            return None
    if is_constant(Symbol(name)) or _is_infinite(end) or _at(end) < 0:
        return None
    low, high = Apply("-", (centre, end)), Apply("+", (centre, end))
    if sign in ("<", "<="):
        return RealSet(_intersection(_half(_FLIP[sign], low), _half(sign, high)), name)
    if sign in (">", ">="):
        return RealSet(_merged([*_half(_FLIP[sign], low), *_half(sign, high)]), name)
    return None


def _half(sign: str, end: Tree) -> tuple[Piece, ...]:
    below = Piece(_MINUS_INFINITY, False, end, sign == "<=")
    above = Piece(end, sign == ">=", _INFINITY, False)
    if sign == "!=":
        return (below, above)
    if sign == "=":
        return (Piece(end, True, end, True),)
    return (below,) if sign in ("<", "<=") else (above,)


def _without(whole: RealSet | None, holes: RealSet | None) -> RealSet | None:
    if whole is None or holes is None:
        return None
    pieces = whole.pieces
    for hole in holes.pieces:
        below = () if _is_infinite(hole.low) else _half("<" if hole.low_closed else "<=", hole.low)
        above = () if _is_infinite(hole.high) else _half(">" if hole.high_closed else ">=", hole.high)
        pieces = _intersection(pieces, (*below, *above))
    return RealSet(pieces, whole.variable)


def _intersection(first: tuple[Piece, ...], second: tuple[Piece, ...]) -> tuple[Piece, ...]:
    found: list[Piece] = []
    for p in first:
        for q in second:
            low, low_closed = max(
                (p.low, p.low_closed), (q.low, q.low_closed), key=lambda end: (_at(end[0]), not end[1])
            )
            high, high_closed = min(
                (p.high, p.high_closed), (q.high, q.high_closed), key=lambda end: (_at(end[0]), end[1])
            )
            if _at(low) < _at(high) or (_at(low) == _at(high) and low_closed and high_closed):
                found.append(Piece(low, low_closed, high, high_closed))
    return tuple(found[:_MAX_PIECES])


def _merged(pieces: list[Piece]) -> tuple[Piece, ...]:
    """The pieces in order, with those that touch joined."""
    result: list[Piece] = []
    for piece in sorted(pieces[:_MAX_PIECES], key=lambda p: (_at(p.low), not p.low_closed)):
        if result:
            last = result[-1]
            touch = _at(piece.low) < _at(last.high) or (
                _at(piece.low) == _at(last.high) and (piece.low_closed or last.high_closed)
            )
            if touch:
                further = (_at(piece.high), piece.high_closed) > (_at(last.high), last.high_closed)
                end = piece if further else last
                result[-1] = Piece(last.low, last.low_closed, end.high, end.high_closed)
                continue
        result.append(piece)
    return tuple(result)


def _is_infinite(tree: Tree) -> bool:
    return contains(tree, "inf")


def _is_end(tree: Tree) -> bool:
    return isinstance(tree, Number | Symbol | Apply) and is_constant(tree) and not contains(tree, "i")


def _at(tree: Tree) -> Any:
    """Where an end lies, precisely enough to sort ends that differ."""
    if tree == _INFINITY:
        return float("inf")
    if _is_infinite(tree):
        if tree == _MINUS_INFINITY:
            return float("-inf")
        raise Undefined("arithmetic with infinity")
    if isinstance(tree, Number):
        return Fraction(tree.value)
    value = approximate(tree, 50)
    if value is None:
        raise Undefined("an end that is no real number")
    return value
