"""Equations of plain numbers: worked out as Python's own fractions do, and left alone where they are not plain."""

import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verify.sums import worked_out

_OPERATORS = {"+": operator.add, "-": operator.sub, "×": operator.mul, "/": operator.truediv}


@pytest.mark.parametrize(
    ("equation", "value"),
    [
        ("16 - 7 = 9", "9"),
        ("$3 × 12 = $36", "$36"),
        ("1,200 + 300 = 1,500", "1,500"),
        ("2 - 5 = −3", "−3"),
        ("7/2 = 3.5", "3.5"),
        ("2 + 3 * 4 = 14", "14"),
        ("24 / 2 * 3 = 36", "36"),
        ("5 = 5", "5"),
        ("3 + 4 = 8", None),
        ("2 + 3 * 4 = 20", None),
        ("1 / 0 = 1", None),
        ("6 = 12 / 2", None),
        ("2 * 3 = 7 = 6", None),
        ("7 / 3 = 2.33", None),
        ("3n = 84", None),
        ("12,34 + 1 = 1,235", None),
        ("1 + 2", None),
        ("", None),
    ],
)
def test_the_last_side_of_an_equation_that_holds(equation: str, value: str | None) -> None:
    assert worked_out(equation) == value


@given(st.integers(0, 999), st.lists(st.tuples(st.sampled_from("+-"), st.integers(1, 999)), min_size=1, max_size=5))
def test_sums_from_left_to_right(first: int, rest: list[tuple[str, int]]) -> None:
    total = first
    for sign, number in rest:
        total = _OPERATORS[sign](total, number)
    left = str(first) + "".join(f" {sign} {number}" for sign, number in rest)
    assert worked_out(f"{left} = {total}") == str(total)
    assert worked_out(f"{left} = {total + 1}") is None


@given(st.integers(1, 99), st.lists(st.tuples(st.sampled_from("×/"), st.integers(1, 99)), min_size=1, max_size=4))
def test_products_from_left_to_right(first: int, rest: list[tuple[str, int]]) -> None:
    product = Fraction(first)
    for sign, number in rest:
        product = _OPERATORS[sign](product, number)
    left = str(first) + "".join(f" {sign} {number}" for sign, number in rest)
    assert (worked_out(f"{left} = {first}") is not None) == (product == first)
