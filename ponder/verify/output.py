"""Whether what a program printed is what was expected."""

import decimal
import math
import re
from typing import Literal

__all__ = ["same_output"]

_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
_WHOLE = re.compile(rb"([+-]?)0*(\d+)")
_ZERO = re.compile(rb"[+-]?0+\.?0*")
_DECIMAL = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def same_output(printed: bytes, expected: str, comparison: Literal["exact", "tokens", "numeric"]) -> bool:
    """`exact`: the same bytes, a final line break aside. `tokens`: the same words in the same order, however spaced.
    `numeric`: as tokens, whole numbers by value, and where one of two numbers is a decimal they agree within 1e-6 of
    their size (1e-9 near zero, 1e-6 of zero itself), and of 1 where a whole number is expected."""
    wanted = expected.encode(errors="replace")
    if comparison == "exact":
        return printed.removesuffix(b"\n") == wanted.removesuffix(b"\n")
    ours, theirs = printed.split(), wanted.split()
    if comparison == "tokens":
        return ours == theirs
    return len(ours) == len(theirs) and all(_close(a, b) for a, b in zip(ours, theirs, strict=True))


def _close(printed: bytes, expected: bytes) -> bool:
    if printed == expected:
        return True
    ours, theirs = _WHOLE.fullmatch(printed), _WHOLE.fullmatch(expected)
    if ours is not None and theirs is not None:
        negative = ours[1] == b"-" and ours[2] != b"0", theirs[1] == b"-" and theirs[2] != b"0"
        return ours[2] == theirs[2] and negative[0] == negative[1]
    if _DECIMAL.fullmatch(printed) is None or _DECIMAL.fullmatch(expected) is None:
        return False
    one, other = float(printed), float(expected)
    if theirs is not None and _are_apart(printed, expected):
        return False  # a whole number that was wanted is not near because it is large
    if other == 0 and _ZERO.fullmatch(expected):
        return abs(one) <= _RELATIVE
    return math.isfinite(other) and math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _are_apart(one: bytes, other: bytes) -> bool:
    """Whether two written numbers differ by more than may be, which floats would round away. A number with too many
    digits in its exponent is apart from every other."""
    precision = len(one) + len(other) + 700
    with decimal.localcontext(prec=precision, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN) as context:
        context.clear_traps()
        return not abs(decimal.Decimal(one.decode()) - decimal.Decimal(other.decode())) <= _RELATIVE
