"""Matrix arithmetic: sums, products and multiples of matrices as one matrix. Tree in, tree out, or TooLarge."""

from collections.abc import Callable
from functools import reduce

from ponder.maths.tree import Apply, Matrix, TooLarge, Tree

__all__ = ["is_matrix", "multiplied_out"]

_MAX_PRODUCTS = 64
Rows = tuple[tuple[Tree, ...], ...]


def multiplied_out(tree: Tree) -> Tree:
    """A term of matrices as the matrix that it is; any other tree as it stands."""
    if not isinstance(tree, Apply):
        return tree
    args = tuple(multiplied_out(part) for part in tree.args) if tree.name in ("neg", "+", "-", "*", "/") else ()
    match tree.name, args:
        case "neg", (Matrix(rows),):
            return _each(rows, lambda entry: Apply("neg", (entry,)))
        case ("+" | "-") as sign, (Matrix(a), Matrix(b)) if (len(a), len(a[0])) == (len(b), len(b[0])):
            return Matrix(
                tuple(tuple(Apply(sign, p) for p in zip(x, y, strict=True)) for x, y in zip(a, b, strict=True))
            )
        case "*", (Matrix(a), Matrix(b)) if len(a[0]) == len(b):
            return _product(a, b)
        case "*", (Matrix(rows), (Matrix() as factor)):
            return tree
        case "*", (Matrix(rows), factor) | (factor, Matrix(rows)):
            return _each(rows, lambda entry: Apply("*", (factor, entry)))
        case "/", (Matrix(rows), divisor):
            return _each(rows, lambda entry: Apply("/", (entry, divisor)))
        case _:
            return tree


def is_matrix(tree: Tree) -> bool:
    """Whether a term is a matrix once it is worked out."""
    return isinstance(multiplied_out(tree), Matrix)


def _each(rows: Rows, entry: Callable[[Tree], Tree]) -> Matrix:
    return Matrix(tuple(tuple(entry(value) for value in row) for row in rows))


def _product(a: Rows, b: Rows) -> Matrix:
    if len(a) * len(b) * len(b[0]) > _MAX_PRODUCTS:
        raise TooLarge("the product of two matrices is too large")

    def entry(row: tuple[Tree, ...], column: tuple[Tree, ...]) -> Tree:
        products: list[Tree] = [Apply("*", pair) for pair in zip(row, column, strict=True)]
        return reduce(lambda total, product: Apply("+", (total, product)), products)

    return Matrix(tuple(tuple(entry(row, column) for column in zip(*b, strict=True)) for row in a))
