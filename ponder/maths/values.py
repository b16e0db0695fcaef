"""Values of terms: exact fractions where the operations allow it, high-precision numbers elsewhere, always bounded.

Tree in, Fraction or mpmath number out. Every operation checks the size of its result before it is computed, so that a
tower of powers or a factorial costs nothing: it raises TooLarge. Real operations outside their domain (the root of a
negative number) raise Undefined unless the term speaks of the imaginary unit.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from ponder.maths.tree import Apply, Measure, Number, Symbol, TooLarge, Tree, Unreadable, children, contains

__all__ = ["Undefined", "approximate", "check_work", "exact", "numeric", "precision_needed"]

_MAX_BITS = 60_000
"""Size of an exact value: 2^60000, or 5000!."""
_MAX_MAGNITUDE = 60_000
"""Binary exponent of an approximate value."""
_MAX_FACTORIAL = 5_000
_MAX_SUM = 300
"""Terms of a written-out sum."""
_MAX_WORK = 6_000
"""Operations of one evaluation, sums written out."""


class Undefined(ValueError):
    """The term has no value here: a division by zero, a point outside the domain."""


def exact(tree: Tree, at: Mapping[str, Fraction]) -> Fraction | None:
    """The value as a fraction with the variables as given; None where an operation leaves the rational numbers."""
    match tree:
        case Number(value):
            return value
        case Symbol(name):
            return at.get(name)
        case Apply(name, args):
            if name in ("sum", "prod"):
                return _exact_sum(name, args, at)
            values = [exact(a, at) for a in args]
            operation = _EXACT.get(name)
            if operation is None or None in values:
                return None
            result: Fraction | None = operation(*values)
            if result is not None and _bits(result) > _MAX_BITS:
                raise TooLarge(f"a value has more than {_MAX_BITS} bits")
            return result
    raise Unreadable(f"{type(tree).__name__} stands inside a term")


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _divide(a: Fraction, b: Fraction) -> Fraction:
    if b == 0:
        raise Undefined("division by zero")
    return a / b


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1:
        return None
    if base == 0 and exponent < 0:
        raise Undefined("a negative power of zero")
    if base in (0, 1, -1):
        return base ** (2 - exponent.numerator % 2) if exponent else Fraction(1)
    if abs(exponent.numerator) * (_bits(base) - 1 or 1) > _MAX_BITS:
        raise TooLarge(f"a power has more than {_MAX_BITS} bits")
    return base ** int(exponent)


def _factorial(n: Fraction) -> Fraction:
    if n.denominator != 1 or n < 0:
        raise Undefined("the factorial of what is no whole number")
    if n > _MAX_FACTORIAL:
        raise TooLarge(f"the factorial of more than {_MAX_FACTORIAL}")
    return Fraction(math.factorial(int(n)))


def _binomial(n: Fraction, k: Fraction) -> Fraction:
    if n.denominator != 1 or k.denominator != 1 or n < 0 or k < 0:
        raise Undefined("a binomial of what is no whole number")
    if n > _MAX_FACTORIAL:
        raise TooLarge(f"a binomial of more than {_MAX_FACTORIAL}")
    return Fraction(math.comb(int(n), int(k)))


def _whole(operation: Any) -> Any:
    def run(*values: Fraction) -> Fraction:
        if any(v.denominator != 1 for v in values):
            raise Undefined("a whole number was expected")
        return Fraction(operation(*(int(v) for v in values)))

    return run


def _remainder(a: Fraction, b: Fraction) -> Fraction:
    if a.denominator != 1 or b.denominator != 1 or b <= 0:
        raise Undefined("a remainder of what is no whole number")
    return a % b


_EXACT: Mapping[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "^": _power,
    "neg": lambda a: -a,
    "%": lambda a: a / 100,
    "!": _factorial,
    "binom": _binomial,
    "abs": abs,
    "floor": lambda a: Fraction(math.floor(a)),
    "ceil": lambda a: Fraction(math.ceil(a)),
    "gcd": _whole(math.gcd),
    "lcm": _whole(math.lcm),
    "mod": _remainder,
    "max": max,
    "min": min,
}


def _exact_sum(name: str, args: tuple[Tree, ...], at: Mapping[str, Fraction]) -> Fraction | None:
    index, low, high, body = args
    assert isinstance(index, Symbol)
    total = Fraction(0 if name == "sum" else 1)
    for i in _range(exact(low, at), exact(high, at)):
        value = exact(body, {**at, index.name: Fraction(i)})
        if value is None:
            return None
        total = total + value if name == "sum" else total * value
        if _bits(total) > _MAX_BITS:
            raise TooLarge(f"a value has more than {_MAX_BITS} bits")
    return total


def _range(low: Fraction | None, high: Fraction | None) -> range:
    if low is None or high is None or low.denominator != 1 or high.denominator != 1:
        raise Undefined("the bounds of a sum are no whole numbers")
    if high - low > _MAX_SUM:
        raise TooLarge(f"a sum of more than {_MAX_SUM} terms")
    return range(int(low), int(high) + 1)


class _Numeric:
    """One evaluation with mpmath: `complex` allows values off the real line, `scale` is the largest size met."""

    def __init__(self, context: Any, at: Mapping[str, Fraction], complex_values: bool) -> None:
        self.mp = context
        self.at = dict(at)
        self.complex = complex_values
        self.scale = context.mpf(1)

    def value(self, tree: Tree) -> Any:
        match tree:
            case Number(value):
                return self.fraction(value)
            case Symbol(name):
                return self.symbol(name)
            case Apply("^", (base, exponent)):
                return self.checked(self.power(self.value(base), self.value(exponent), exponent))
            case Apply("sum" | "prod" as name, args):
                return self.sum(name, args)
            case Apply(name, args):
                values = [self.value(a) for a in args]
                return self.checked(self.apply(name, values))
        raise Unreadable(f"{type(tree).__name__} stands inside a term")

    def fraction(self, value: Fraction) -> Any:
        return self.mp.mpf(value.numerator) / value.denominator

    def symbol(self, name: str) -> Any:
        if name == "pi":
            return +self.mp.pi
        if name == "e":
            return +self.mp.e
        if name == "i":
            return self.mp.mpc(0, 1)
        if name not in self.at:
            raise Undefined(f"{name} has no value")
        return self.fraction(self.at[name])

    def checked(self, value: Any) -> Any:
        if not self.mp.isfinite(value):
            raise Undefined("a value is not finite")
        if value != 0 and abs(int(self.mp.mag(value))) > _MAX_MAGNITUDE:
            raise TooLarge("a value is too large or too small")
        size = abs(value)
        if size > self.scale:
            self.scale = size
        return value

    def power(self, base: Any, exponent: Any, written: Tree) -> Any:
        mp = self.mp
        if base == 0:
            if mp.re(exponent) <= 0 and exponent != 0:
                raise Undefined("a negative power of zero")
            return mp.mpf(1 if exponent == 0 else 0)
        growth = abs(exponent) * abs(mp.log(abs(base), 2))
        if growth > _MAX_MAGNITUDE:
            raise TooLarge("a power is too large")
        if not self.complex and base < 0 and not mp.isint(exponent):
            ratio = exact(written, self.at)
            if ratio is None or ratio.denominator % 2 == 0 or ratio.denominator > 99:
                raise Undefined("a broken power of a negative number")
            root = mp.root(-base, ratio.denominator)
            return (
                (-root if ratio.numerator % 2 else root) ** abs(ratio.numerator)
                if ratio > 0
                else 1 / ((-root if ratio.numerator % 2 else root) ** abs(ratio.numerator))
            )
        return base**exponent

    def apply(self, name: str, values: list[Any]) -> Any:
        mp = self.mp
        match name, values:
            case "+", [a, b]:
                return a + b
            case "-", [a, b]:
                return a - b
            case "*", [a, b]:
                return a * b
            case "/", [a, b]:
                if b == 0:
                    raise Undefined("division by zero")
                return a / b
            case "neg", [a]:
                return -a
            case "%", [a]:
                return a / 100
            case "deg", [a]:
                return a * mp.pi / 180
            case "abs", [a]:
                return abs(a)
            case "sqrt", [a]:
                self.real(a >= 0 if not self.complex else True)
                return mp.sqrt(a)
            case "root", [a, n]:
                return self.root(a, n)
            case "exp", [a]:
                if abs(a) > _MAX_MAGNITUDE:
                    raise TooLarge("a power is too large")
                return mp.exp(a)
            case (("ln" | "log" | "log10" | "logbase"), [a, *base]):
                return self.logarithm(name, a, base)
            case (("floor" | "ceil"), [a]):
                nearest = mp.nint(a)
                if abs(a - nearest) < mp.mpf(10) ** (5 - mp.dps) * self.scale:
                    return nearest
                return mp.floor(a) if name == "floor" else mp.ceil(a)
            case (("max" | "min"), _):
                return max(values) if name == "max" else min(values)
            case (("!" | "binom" | "gcd" | "lcm" | "mod"), _):
                whole = [self.whole(v) for v in values]
                return self.fraction(_EXACT[name](*whole))
            case _, [a] if name in _FUNCTIONS:
                return self.function(name, a)
        raise Unreadable(f"{name} has no value")

    def real(self, inside: bool) -> None:
        if not inside:
            raise Undefined("outside the domain")

    def whole(self, value: Any) -> Fraction:
        if not self.mp.isint(value) or abs(value) > 10**9:
            raise Undefined("a whole number was expected")
        return Fraction(int(value))

    def root(self, a: Any, n: Any) -> Any:
        mp = self.mp
        if not mp.isint(n) or not 1 <= n <= 1000:
            return self.power(a, 1 / n, Number(Fraction(1, 2)))
        if not self.complex and a < 0:
            self.real(int(n) % 2 == 1)
            return -mp.root(-a, int(n))
        return mp.root(a, int(n))

    def logarithm(self, name: str, a: Any, base: list[Any]) -> Any:
        mp = self.mp
        if a == 0 or (not self.complex and a < 0):
            raise Undefined("the logarithm of what is not positive")
        if name == "log10":
            return mp.log(a) / mp.log(10)
        if name == "logbase":
            if base[0] in (0, 1) or (not self.complex and base[0] < 0):
                raise Undefined("a logarithm to that base")
            return mp.log(a) / mp.log(base[0])
        return mp.log(a)

    def function(self, name: str, a: Any) -> Any:
        mp = self.mp
        if abs(a) > 10**30:
            raise TooLarge("the argument of a function is too large")
        if name in ("arcsin", "arccos") and not self.complex:
            self.real(-1 <= a <= 1)
        if name in ("arcsec", "arccsc"):
            self.real(abs(a) >= 1 or self.complex)
        if name in ("sinh", "cosh") and abs(a) > _MAX_MAGNITUDE:
            raise TooLarge("a value is too large")
        try:
            return getattr(mp, _FUNCTIONS[name])(a)
        except (ZeroDivisionError, ValueError) as problem:
            raise Undefined(f"{name} has no value") from problem

    def sum(self, name: str, args: tuple[Tree, ...]) -> Any:
        index, low, high, body = args
        assert isinstance(index, Symbol)
        total = self.mp.mpf(0 if name == "sum" else 1)
        outer = self.at.get(index.name)
        for i in _range(exact(low, self.at), exact(high, self.at)):
            self.at[index.name] = Fraction(i)
            value = self.value(body)
            total = self.checked(total + value if name == "sum" else total * value)
        self.at.pop(index.name, None)
        if outer is not None:
            self.at[index.name] = outer
        return total


_FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "cot": "cot", "sec": "sec", "csc": "csc", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "coth": "coth", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arccot": "acot",
    "arcsec": "asec", "arccsc": "acsc", "arg": "arg", "re": "re", "im": "im", "sgn": "sign",
}  # fmt: skip


class _PerThread(threading.local):
    """The precision is a setting of the context, so threads may not share one."""

    def __init__(self) -> None:
        from mpmath import MPContext  # heavy, and not needed for most answers

        self.context = MPContext()


@cache
def _contexts() -> _PerThread:
    return _PerThread()


def numeric(tree: Tree, at: Mapping[str, Fraction], digits: int, complex_values: bool) -> tuple[Any, Any]:
    """The value to `digits` decimal digits and the largest size met on the way, as mpmath numbers."""
    if isinstance(tree, Measure):
        raise Unreadable("a unit stands inside a term")
    context = _contexts().context
    with context.workdps(digits):
        run = _Numeric(context, at, complex_values)
        return run.value(tree), run.scale


def approximate(tree: Tree, digits: int) -> Fraction | None:
    """A constant to `digits` decimal digits; None where it is no real number."""
    value = numeric(tree, {}, digits, contains(tree, "i"))[0]
    if value.imag:
        return None
    sign, mantissa, exponent, _ = value.real._mpf_
    size = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


def check_work(tree: Tree) -> None:
    """Raise TooLarge where one evaluation could take too many operations."""
    if _work(tree) > _MAX_WORK:
        raise TooLarge(f"it takes more than {_MAX_WORK} operations")


def _work(tree: Tree) -> int:
    own = _MAX_SUM if isinstance(tree, Apply) and tree.name in ("sum", "prod") else 1
    return own * (1 + sum(_work(part) for part in children(tree)))


def precision_needed(tree: Tree, at: Mapping[str, Fraction]) -> int:
    """Decimal digits in which two different values of this length may agree, roughly: those written, with powers."""
    match tree:
        case Number(value):
            return len(str(value.numerator)) + len(str(value.denominator)) - 1 if _bits(value) < 4_000 else 1_200
        case Apply("^", (base, exponent)):
            power = exact(exponent, at)
            factor = min(abs(float(power)), 10_000.0) if power is not None and _bits(power) < 900 else 1.0
            return int(precision_needed(base, at) * max(1.0, factor)) + precision_needed(exponent, at)
        case Apply("!", (argument,)):
            n = exact(argument, at)
            return int(min(float(n), 5_000.0) * 4) if n is not None and _bits(n) < 900 else 1
        case Apply(_, args):
            return sum(precision_needed(a, at) for a in args)
        case Symbol("i"):
            return 0
        case _:
            return 1
