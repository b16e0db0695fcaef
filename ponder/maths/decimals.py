"""Written numbers: decimals, repeating decimals, scientific notation, mixed numbers, as exact values.

Digits as the lexer found them in, `Number` out. The lexer has bounded the digits; the exponent is bounded here.
"""

import re
from fractions import Fraction

from ponder.maths.tree import Apply, Number, TooLarge, Unreadable

__all__ = ["decimal", "mixed"]

_MAX_EXPONENT = 2_000


def mixed(whole: Number, part: Apply) -> Number:
    """The mixed number of a whole number and a fraction of whole numbers."""
    top, bottom = part.args
    assert isinstance(top, Number) and isinstance(bottom, Number)
    if not bottom.value or top.value < 0:
        raise Unreadable("a mixed number has no value")
    return Number(whole.value + top.value / bottom.value)


def decimal(text: str) -> Number:
    """The number of a token of digits; raises TooLarge for an exponent beyond the limit."""
    repeating = re.fullmatch(
        r"(\d*)\.(\d*?)(?:\\overline\s*\{(\d+)\}|\((\d+)\)|\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?)", text
    )
    if repeating:
        whole, fixed, *rest = repeating.groups(default="")
        period = "".join(rest)
        shift = 10 ** len(fixed)
        return Number(
            Fraction(int(whole + fixed or "0"), shift) + Fraction(int(period), shift * (10 ** len(period) - 1))
        )
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent[:6])) > _MAX_EXPONENT:
        raise TooLarge(f"the exponent {exponent} is larger than {_MAX_EXPONENT}")
    value = Fraction(mantissa.rstrip(".") or "0")
    places = len(mantissa.partition(".")[2])
    if exponent:
        value *= Fraction(10) ** int(exponent)
        places = max(0, places - int(exponent))
    return Number(value, places or None)
