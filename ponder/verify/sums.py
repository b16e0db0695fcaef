"""Equations of plain numbers, the most of what a solution works out: "16 - 7 = 9", "$3 * 12 = $36".

The text of an equation in, its last side out where all sides are equal; None where it is not that plain or does not
hold, so that it is to be read as any other formula.
"""

import re
from fractions import Fraction

__all__ = ["worked_out"]

_NUMBER = r"\$?(?:(?:\d{1,3}(?:,\d{3})+|\d{1,30})(?:\.\d{1,30})?|\.\d{1,30})"
_SIDE = rf"[-−]?{_NUMBER}(?:\s*[-+*/×÷−–]\s*{_NUMBER})*"
_EQUATION = re.compile(rf"\s*{_SIDE}(?:\s*=\s*{_SIDE})+\s*")
_PART = re.compile(r"([-+*/])?([\d.]+)")
_ONE_SPELLING = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-", "$": None, ",": None, " ": None, "\t": None})


def worked_out(equation: str) -> str | None:
    """The last side of an equation that holds, as written."""
    if _EQUATION.fullmatch(equation) is None:
        return None
    first, *others = [_value(side) for side in equation.translate(_ONE_SPELLING).split("=")]
    if first is None or any(other != first for other in others):
        return None
    last = equation.rpartition("=")[2].strip()
    return last if _PART.fullmatch(last.translate(_ONE_SPELLING)) else None


def _value(side: str) -> Fraction | int | None:
    """The value of numbers joined by the four operations; None where it divides by zero."""
    total: Fraction | int = 0
    product: Fraction | int = 0
    for sign, digits in _PART.findall(side):
        number = Fraction(digits) if "." in digits else int(digits)
        match sign:
            case "*":
                product *= number
            case "/":
                if not number:
                    return None
                product = Fraction(product) / number
            case _:
                total, product = total + product, -number if sign == "-" else number
    return total + product
