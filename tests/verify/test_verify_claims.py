"""Equations in thoughts: a table of how they are written, and sums that were made right or wrong on purpose."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.records import ExpressionGold
from ponder.verify.claims import MAX_CLAIMS, find_claims
from ponder.verify.pool import VerifierPool

RIGHT, WRONG, OPEN = "right", "wrong", "cannot_tell"
CASES = [
    ("25 - 7 = 18", [("25 - 7 = 18", RIGHT)]),
    ("So 25 - 7 = 19.", [("25 - 7 = 19", WRONG)]),
    ("3 x 4 = 12, then 12 + 5 = 18", [("3 x 4 = 12", RIGHT), ("12 + 5 = 18", WRONG)]),
    ("2 + 3 = 5 = 10/2 = 6", [("2 + 3 = 5", RIGHT), ("5 = 10/2", RIGHT), ("10/2 = 6", WRONG)]),
    ("- 3 + 4 = 7", [("3 + 4 = 7", RIGHT)]),
    ("1) 3 + 4 = 7", [("3 + 4 = 7", RIGHT)]),
    ("(2) 3 + 4 = 7", [("3 + 4 = 7", RIGHT)]),
    ("1. 3 + 4 = 7", [("3 + 4 = 7", RIGHT)]),
    ("**3 + 4 = 8**", [("3 + 4 = 8", WRONG)]),
    ("3 + 4 = 7!", [("3 + 4 = 7!", RIGHT)]),
    ("5! = 120", [("5! = 120", RIGHT)]),
    ("50% = 0.5", [("50% = 0.5", RIGHT)]),
    ("1,000 + 1 = 1,001", [("1,000 + 1 = 1,001", RIGHT)]),
    (r"\(3 \times 4 = 13\)", [(r"3 \times 4 = 13", WRONG)]),
    (r"\frac{1}{2} + \frac{1}{2} = 1", [(r"\frac{1}{2} + \frac{1}{2} = 1", RIGHT)]),
    (r"\sqrt{16} = 5", [(r"\sqrt{16} = 5", WRONG)]),
    ("3 + 4 = 7 and 7 + 1 = 9", [("3 + 4 = 7", RIGHT), ("7 + 1 = 9", WRONG)]),
    ("-3 + 4 = 1; 3 + 4 = -7", [("-3 + 4 = 1", RIGHT), ("3 + 4 = -7", WRONG)]),
    ("so 7 = 3 + 4", [("7 = 3 + 4", RIGHT)]),
    ("3 + 4 = 7 apples", [("3 + 4 = 7", RIGHT)]),
    ("3 + 4 = 7too", [("3 + 4 = 7", OPEN)]),
    ("78-3=75\ntoo long, I stop here.", [("78-3=75", RIGHT)]),
    ("3 + 4 = 8 \n\nx is it", [("3 + 4 = 8", WRONG)]),
    ("3 + 4 = 7 times 4", [("3 + 4 = 7", OPEN)]),
    ("3 + 4 =\nseven", []),
    ("所以25-7=18，然后18+4=23", [("25-7=18", RIGHT), ("18+4=23", WRONG)]),
    ("10/3 = 3.33", [("10/3 = 3.33", OPEN)]),
    ("10/3 = 3", [("10/3 = 3", WRONG)]),
    ("1/0 = 5", [("1/0 = 5", OPEN)]),
    ("9^9^9^9 = 3", [("9^9^9^9 = 3", OPEN)]),
    ("the sum of 3 and 4 = 7", [("4 = 7", OPEN)]),
    ("20% of 50 = 10", [("50 = 10", OPEN)]),
    ("17 = 2 (mod 5)", [("17 = 2", OPEN)]),
    ("17 = 2 mod 5", [("17 = 2", OPEN)]),
    ("共有3乘4=12", [("4=12", OPEN)]),
    ("it is not 3 + 4 = 8", [("3 + 4 = 8", OPEN)]),
    ("3 + 4 = 8?", [("3 + 4 = 8", OPEN)]),
    ("x = 5", [("x = 5", OPEN)]),
    ("x + 3 = 7", [("+ 3 = 7", OPEN)]),
    ("f(3) = 9", [("(3) = 9", OPEN)]),
    ("x_1 = 3", [("1 = 3", OPEN)]),
    ("3,5 = 7/2", [("5 = 7/2", OPEN)]),
    ("12:4 = 3", [("4 = 3", OPEN)]),
    ("7 // 2 = 3", [("7 // 2 = 3", OPEN)]),
    ("10 % 3 = 1", [("10 % 3 = 1", OPEN)]),
    ("3 1/2 = 3.5", [("3 1/2 = 3.5", OPEN)]),
    ("3\u00b2 + 4 = 13", [("+ 4 = 13", OPEN)]),
    ("|-3| + 2 = 5", [("+ 2 = 5", OPEN)]),
    ("\u221a 16 = 4", [("16 = 4", OPEN)]),
    ("\u221a16 = 4", [("16 = 4", OPEN)]),
    ("\u00bd + 1 = 1", [("+ 1 = 1", OPEN)]),
    ("2\u03c0 + 1 = 1", [("+ 1 = 1", OPEN)]),
    ("\u230a7/2\u230b + 1 = 4", [("+ 1 = 4", OPEN)]),
    ("3 \u00b1 2 = 5", [("2 = 5", OPEN)]),
    ("3 : 4 = 6 : 8", [("4 = 6", OPEN)]),
    ("6 / 2 = 3 : 1", [("6 / 2 = 3", OPEN)]),
    ("5 = 2 \u00bd", [("5 = 2", OPEN)]),
    ("| 3 + 4 = 8 | so: 1 + 1 = 3 |", [("3 + 4 = 8", WRONG), ("1 + 1 = 3", WRONG)]),
    ("\u2192 -3 + 4 = 2", [("-3 + 4 = 2", WRONG)]),
    ("Step 2: 3 + 4 = 8", [("3 + 4 = 8", WRONG)]),
    ("3 + 4 = ?", []),
    ("3 != 4, 3 == 4, 3 <= 4, 3 >= 4, 3 => 4, n := 4", []),
    ("3 + 4 is 8", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text or "empty" for text, _ in CASES])
def test_claims_as_they_are_written(text: str, expected: list[tuple[str, str]]) -> None:
    found = find_claims(text)
    assert [(claim.text, claim.outcome) for claim in found] == expected
    assert all(text[claim.start : claim.end] == claim.text and claim.reason for claim in found)


def test_what_a_wrong_side_comes_to_is_said() -> None:
    assert [claim.reason for claim in find_claims("25 - 7 = 19, 19 = 25 - 7, 3 = 4")] == [
        "25 - 7 is 18",
        "25 - 7 is 18",
        "3 is not 4",
    ]


@given(
    st.integers(0, 2**32), st.sampled_from(["So {}.", "{}\n", "- {}", "Then {}, good.", "try {} and go on", "试 {}。"])
)
def test_sums_made_on_purpose(seed: int, frame: str) -> None:
    """Random terms with Python's own arithmetic as the judge."""
    draw = random.Random(seed)
    term = str(draw.randint(1, 99))
    for _ in range(draw.randint(1, 4)):
        term = f"({term} {draw.choice('+-*')} {draw.randint(1, 99)})" if draw.random() < 0.5 else f"{term} * 3 - 1"
    value = eval(term)
    said = value + draw.choice([0, 0, 1, -1, 10])
    (claim,) = find_claims(frame.format(f"{term} = {said}"))
    assert claim.outcome == ("right" if said == value else "wrong"), claim


@given(st.text(alphabet="0123456789+-*/=().,% \n$\\xab?!{}^_&", max_size=80))
def test_any_text_gives_claims_that_stand_in_it(text: str) -> None:
    claims = find_claims(text)
    assert all(text[claim.start : claim.end] == claim.text for claim in claims)
    assert [claim.start for claim in claims] == sorted(claim.start for claim in claims)


def test_a_long_thought_has_a_limit() -> None:
    assert len(find_claims("1 + 1 = 2\n" * (MAX_CLAIMS + 500))) == MAX_CLAIMS


def test_the_pool_finds_claims_and_compares_answers() -> None:
    with VerifierPool(workers=1) as pool:
        claims = pool.claims("3 + 4 = 8").result(60)
        gold = ExpressionGold(numbers=(3, 4), target=7)
        same = pool.same("3+4", ["3 + 4", "`3+4`", "4+3"], gold).result(60)
    assert claims.failure is None and [one["outcome"] for one in claims.value] == ["wrong"]
    assert same.value == [False, True, False]
