"""Matrices and determinants. The tokens behind \\begin in, the tree out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ponder.maths.tree import Apply, Matrix, Tree, Unreadable

if TYPE_CHECKING:
    from ponder.maths.terms import Terms

__all__ = ["read_matrix"]

_MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "smallmatrix", "array"})
_MAX_DETERMINANT = 4


def read_matrix(terms: Terms) -> Tree:
    """A matrix, or the value of a determinant."""
    kind = _environment(terms)
    if kind not in _MATRICES:
        raise Unreadable(f"the environment {kind!r} is not understood")
    if kind == "array" and terms.at("{"):
        while not terms.at("}"):
            if terms.next().kind == "end":
                raise Unreadable("an array is not closed")
        terms.next()
    rows: list[tuple[Tree, ...]] = []
    row: list[Tree] = []
    while True:
        row.append(terms.sum())
        token = terms.next()
        if token.text == "&":
            continue
        rows.append(tuple(row))
        row = []
        if token.text == "\\\\":
            if terms.peek().kind != "command" or terms.peek().text != "end":
                continue
            token = terms.next()
        if token.kind != "command" or token.text != "end":
            raise Unreadable(f"{token.text!r} stands in a matrix")
        break
    if _environment(terms) != kind or len({len(r) for r in rows}) != 1:
        raise Unreadable("the rows of a matrix differ in length")
    return _determinant(tuple(rows)) if kind == "vmatrix" else Matrix(tuple(rows))


def _environment(terms: Terms) -> str:
    terms.expect("{")
    name = ""
    while not terms.at("}"):
        if terms.peek().kind == "end":
            raise Unreadable("an environment is not closed")
        name += terms.next().text
    terms.next()
    return name


def _determinant(rows: tuple[tuple[Tree, ...], ...]) -> Tree:
    """What stands between bars, worked out along its first row."""
    if len(rows) != len(rows[0]) or len(rows) > _MAX_DETERMINANT:
        raise Unreadable(f"a determinant has {len(rows)} rows and {len(rows[0])} columns")
    if len(rows) == 1:
        return rows[0][0]
    value: Tree | None = None
    for column, factor in enumerate(rows[0]):
        minor = tuple(row[:column] + row[column + 1 :] for row in rows[1:])
        part = Apply("*", (factor, _determinant(minor)))
        value = part if value is None else Apply("-" if column % 2 else "+", (value, part))
    assert value is not None
    return value
