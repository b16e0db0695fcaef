"""A calculator that is exact, and has an end whatever it is asked."""

import ast
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from operator import add, floordiv, mod, mul, sub, truediv

__all__ = ["calculator"]

_MOST_CHARACTERS = 1000
_MOST_BITS = 4096
"""Of a number: about 1,200 digits."""
_PLACES = 12
"""Digits after the point of a number that has no end, or none before as many as `_MOST_PLACES`."""
_MOST_PLACES = 30
_MOST_ZEROS = 1500
"""Of a decimal, before or after the point: more than numbers may have."""
_SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "^": "**", "\u00b7": "*"})
_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.Div: truediv,
    ast.FloorDiv: lambda a, b: Fraction(floordiv(a, b)),
    ast.Mod: mod,
}


def calculator(expression: str) -> str:
    """Computes an expression of numbers with + - * / // % ** and parentheses, exactly."""
    text = expression.translate(_SIGNS).strip()
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"the expression has {len(text)} characters, more than {_MOST_CHARACTERS}")
    try:
        tree = ast.parse(text, mode="eval")
        return _written(_value(tree.body, text))
    except ZeroDivisionError:
        raise ValueError("division by zero") from None
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"{expression[:80]!r} is no expression of numbers") from None


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            found = Fraction(value)
        case ast.Constant(value=float()):
            found = _decimal(ast.get_source_segment(text, node) or "")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = -_value(operand, text)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            found = _value(operand, text)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            found = _power(_value(left, text), _value(right, text))
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            found = _OPERATORS[type(operator)](_value(left, text), _value(right, text))
        case _:
            raise ValueError(
                f"{ast.unparse(node)[:80]!r} is not known here: numbers, + - * / // % ** and parentheses are"
            )
    if max(found.numerator.bit_length(), found.denominator.bit_length()) > _MOST_BITS:
        raise ValueError("the numbers become too large")
    return found


def _decimal(text: str) -> Fraction:
    """The number as it is written, which a float would round."""
    number = Decimal(text)
    if number and abs(number.adjusted()) > _MOST_ZEROS:
        raise ValueError("the numbers become too large")
    return Fraction(number)


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise ValueError("only whole exponents are known here")
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent.numerator) > _MOST_BITS or size * abs(exponent.numerator) > 2 * _MOST_BITS:
        raise ValueError("the numbers become too large")
    return Fraction(base**exponent.numerator)


def _written(value: Fraction) -> str:
    """A whole number, a decimal, or a decimal rounded to some places, of a tiny number so many behind its zeros."""
    if value.denominator == 1:
        return str(value.numerator)
    places = next((some for some in range(1, _MOST_PLACES + 1) if 10**some % value.denominator == 0), 0)
    if not places:
        zeros = len(str(value.denominator // abs(value.numerator)))
        places = _PLACES if zeros <= _PLACES else _PLACES + zeros
    whole, rest = divmod(round(abs(value) * 10**places), 10**places)
    return f"{'-' if value < 0 else ''}{whole}.{rest:0{places}}".rstrip("0").rstrip(".")
