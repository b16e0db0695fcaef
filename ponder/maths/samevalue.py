"""Whether two terms have the same value: exactly where they are rational, to high precision elsewhere, at many points
where they have variables.

Two terms in, True or False out; TooLarge where the limits do not allow to tell. Constants are compared with more digits
than two different short expressions can agree in. Terms with variables are compared at fixed rational points, of both
signs, then positive, then whole (for sums, factorials, signs): one difference settles "different"; agreement at every
point where both are defined settles "equal".
"""

import random
from collections.abc import Iterator, Mapping
from fractions import Fraction

from ponder.maths.tree import Number, TooLarge, Tree, contains, free_symbols
from ponder.maths.values import Undefined, exact, numeric, precision_needed

__all__ = ["is_constant", "ratio", "same_value"]

_GUARD_DIGITS = 40
_MOST_DIGITS = 3_000
_MOST_DIGITS_AT_POINTS = 1_200
_ENOUGH_POINTS = 6
_MAX_SYMBOLS = 12


def is_constant(tree: Tree) -> bool:
    """Whether a term has no variables."""
    return not free_symbols(tree)


def same_value(a: Tree, b: Tree) -> bool:
    """Whether two terms are equal as numbers, or as functions of their variables."""
    if a == b:
        return True
    if isinstance(a, Number) and isinstance(b, Number):
        return a.value == b.value
    symbols = sorted(free_symbols(a) | free_symbols(b))
    if not symbols:
        same = _same_at(a, b, {})
        if same is None:
            return False
        return same
    agreed = 0
    for at in _points(symbols):
        same = _same_at(a, b, at)
        if same is False:
            return False
        agreed += same is True
        if agreed >= 2 * _ENOUGH_POINTS:
            return True
    if agreed < _ENOUGH_POINTS:
        raise TooLarge("the expressions have too few points in common to be told apart")
    return True


def ratio(a: Tree, b: Tree) -> int | None:
    """The sign of the constant c with a = c * b at every point; None where there is no such constant but zero."""
    symbols = sorted(free_symbols(a) | free_symbols(b))
    first: Fraction | None = None
    approximate = None
    agreed = 0
    for at in _points(symbols):
        try:
            exact_a, exact_b = exact(a, at), exact(b, at)
            if exact_a is not None and exact_b is not None:
                if (exact_a == 0) != (exact_b == 0):
                    return None
                if exact_b == 0:
                    continue
                if first is not None and exact_a != first * exact_b:
                    return None
                first = exact_a / exact_b
            else:
                value_a, _ = numeric(a, at, 60, False)
                value_b, _ = numeric(b, at, 60, False)
                if abs(value_b) < 1e-40 or abs(value_a) < 1e-40:
                    if abs(value_a) + abs(value_b) > 1e-30:
                        return None
                    continue
                if approximate is not None and abs(value_a / value_b - approximate) > 1e-30 * abs(approximate):
                    return None
                approximate = value_a / value_b
        except Undefined:
            continue
        agreed += 1
        if agreed >= 2 * _ENOUGH_POINTS:
            break
    if agreed < _ENOUGH_POINTS:
        return None
    constant = first if first is not None else approximate
    assert constant is not None
    return 1 if constant > 0 else -1


def _same_at(a: Tree, b: Tree, at: Mapping[str, Fraction]) -> bool | None:
    """Whether both are equal at one point; None where one of them has no value there."""
    try:
        exact_a, exact_b = exact(a, at), exact(b, at)
        if exact_a is not None and exact_b is not None:
            return exact_a == exact_b
        digits = _GUARD_DIGITS + precision_needed(a, at) + precision_needed(b, at)
        most = _MOST_DIGITS_AT_POINTS if at else _MOST_DIGITS
        capped = min(digits, most)
        complex_values = contains(a, "i", "arg", "re", "im") or contains(b, "i", "arg", "re", "im")
        # A first look with few digits settles almost every difference.
        for precision in (30, capped):
            value_a, scale_a = numeric(a, at, precision, complex_values)
            value_b, scale_b = numeric(b, at, precision, complex_values)
            unit = max(scale_a, scale_b) / type(scale_a)(10) ** (precision - 12)
            if abs(value_a - value_b) > unit:
                return False
        if digits > most:
            raise TooLarge(f"two values agree in {most} digits, which proves nothing about them")
        return True
    except Undefined:
        return None


def _points(symbols: list[str]) -> Iterator[dict[str, Fraction]]:
    if len(symbols) > _MAX_SYMBOLS:
        raise TooLarge(f"it has more than {_MAX_SYMBOLS} variables")
    draw = random.Random(20_250_120)
    for kind in ("signed", "positive", "whole", "small"):
        for _ in range(14):
            yield {symbol: _coordinate(kind, draw) for symbol in symbols}


def _coordinate(kind: str, draw: random.Random) -> Fraction:
    match kind:
        case "signed":
            return Fraction(draw.randint(-3_000, 3_000), 997)
        case "positive":
            return Fraction(draw.randint(1_100, 9_000), 997)
        case "whole":
            return Fraction(draw.randint(1, 13))
        case _:
            return Fraction(draw.randint(-980, 980), 997)
