"""Whether an answer is worked out: a sum or a product of plain numbers is a calculation, not its result.

Tree in, True or False out. "12 + 7" is no answer for 19, nor is "6 * 7" for 42 or "1/2 + 1/3" for 5/6, nor a sum or
product with the sine of a number in it. A form that has a name is one: a fraction (also not in lowest terms), a mixed
number ("1 + 1/2"), a power or a product with one ("2^3 * 3", "1.2 * 10^5"; but "3^4 + 5" is a calculation), a root, a
factorial, a constant, a percentage.
"""

from math import isqrt

from ponder.maths.matrixvalue import is_matrix
from ponder.maths.relations import assigned, settled
from ponder.maths.tree import Apply, Measure, Number, Symbol, TooLarge, Tree, children, contains, free_symbols
from ponder.maths.values import Undefined, exact

__all__ = ["is_finished"]

_JOINING = frozenset({"+", "-", "*", "/"})
_POWERS = ("^", "!", "binom")
_LARGE = 10**9
_OF_ANGLES = ("sin", "cos", "tan", "cot", "sec", "csc")
_OF_NUMBERS = frozenset({"gcd", "lcm", "max", "min", "mod"})


def is_finished(tree: Tree) -> bool:
    """Whether no part of the answer is left to be computed."""
    tree = settled(tree)
    named = assigned(tree)
    if named is not None:
        return is_finished(named[1])
    match tree:
        case Measure(larger=larger) if larger is not None:  # "1 hour 30 minutes" is read as a sum
            return True
        case Apply("+" | "-" | "*", (first, second)) if is_matrix(first) and is_matrix(second):
            return False
        case Apply(name, args):
            if name in _OF_NUMBERS and all(_is_arithmetic(a) for a in args):
                return False
            if contains(tree, "i") and any(a.name == "^" and a.args[0] == Symbol("i") for a in _powers(tree)):
                return False
            if name in _JOINING and any(_is_open_root(a) for a in args):
                return False
            if _is_small_sum(tree) or (name in _JOINING and _has_angles(tree)):
                return False
            return not _is_arithmetic(tree) or _is_form(tree)
        case _:
            return all(is_finished(part) for part in children(tree))


def _is_arithmetic(tree: Tree) -> bool:
    """Whether a term is made of numbers and the four operations alone."""
    match tree:
        case Number():
            return True
        case Apply("+" | "-" | "*" | "/" | "neg", args):
            return all(_is_arithmetic(a) for a in args)
        case _:
            return False


def _is_small_sum(tree: Tree) -> bool:
    """Whether a term of numbers has a sum beside a power or a factorial, which a longer answer would have worked out:
    "3^4 + 5", "(2 + 3)^2". What is too long to be written out, such as 2^100 - 1, is a result."""
    if not _is_worked_out_by_hand(tree) or not contains(tree, "+", "-") or not contains(tree, *_POWERS):
        return False
    try:
        value = exact(tree, {})
    except (Undefined, TooLarge):
        return False
    return value is not None and abs(value) < _LARGE


def _is_worked_out_by_hand(tree: Tree) -> bool:
    match tree:
        case Number():
            return True
        case Apply("+" | "-" | "*" | "/" | "neg" | "^" | "!" | "binom", args):
            return all(_is_worked_out_by_hand(a) for a in args)
        case _:
            return False


def _is_open_root(tree: Tree) -> bool:
    """Whether a term is the root of a square, which a longer term would have worked out: "\\sqrt{16} + 3"."""
    match tree:
        case Apply("sqrt", (Number(value),)) if value >= 0:
            return all(isqrt(n) ** 2 == n for n in (value.numerator, value.denominator))
        case Apply("sqrt", (inner,)):
            return _is_worked_out_by_hand(inner) and contains(inner, "+", "-")
        case _:
            return False


def _has_angles(tree: Tree) -> bool:
    """Whether a real term without variables has a sine or the like in it: "4 \\sin 20° + \\tan 80°"."""
    return contains(tree, *_OF_ANGLES) and not free_symbols(tree) and not contains(tree, "i")


def _is_form(tree: Tree) -> bool:
    """Whether a term of numbers is a number, a fraction of two, or a whole number and a fraction."""
    match tree:
        case Number():
            return True
        case Apply("neg", (value,)):
            return _is_form(value)
        case Apply("/", (top, bottom)):
            return _is_number(top) and _is_number(bottom)
        case Apply("+", (Number(), Apply("/", (top, bottom)))):
            return _is_number(top) and _is_number(bottom)
        case _:
            return False


def _is_number(tree: Tree) -> bool:
    match tree:
        case Apply("neg", (value,)):
            return _is_number(value)
        case _:
            return isinstance(tree, Number)


def _powers(tree: Tree) -> list[Apply]:
    own = [tree] if isinstance(tree, Apply) and tree.name == "^" else []
    return [*own, *(power for part in children(tree) for power in _powers(part))]
