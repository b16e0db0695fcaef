"""What prose states: tables of texts with the golds that are paid and those that are not, and properties."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.records import ChoiceGold, CodeGold, MathGold
from ponder.verify import check_gold, verify
from ponder.verify.answer import find_answer
from ponder.verify.mentions import mentions
from ponder.verify.program import find_program
from ponder.verify.prose import sentences, stated

CASES = Path(__file__).parent / "cases"
PROSE = defaultdict(list)
for _line in (CASES / "prose.jsonl").read_text(encoding="utf-8").splitlines():
    _row = json.loads(_line)
    PROSE[_row["group"]].append(_row)
_PROGRAM = CodeGold(tests=("assert f(1)",))
CHOICES = [json.loads(line) for line in (CASES / "choices.jsonl").read_text(encoding="utf-8").splitlines()]


def paid(text: str, gold: str, lenient: bool = False) -> bool:
    return verify(text, MathGold(answer=gold, strictness="lenient" if lenient else "strict")).outcome == "right"


@pytest.mark.parametrize("group", PROSE)
def test_every_text_pays_its_value_and_no_other(group: str) -> None:
    failed = []
    for row in PROSE[group]:
        failed += [(row["text"], gold, "not paid") for gold in row["right"] if not paid(row["text"], gold)]
        failed += [(row["text"], gold, "paid") for gold in row["refused"] if paid(row["text"], gold)]
    assert not failed


def test_the_tables_are_large() -> None:
    rows = [row for rows in PROSE.values() for row in rows] + CHOICES
    assert sum(len(row["right"]) + len(row["refused"]) for row in rows) >= 400


@pytest.mark.parametrize("row", CHOICES, ids=lambda row: row["text"][:20])
def test_every_choice(row: dict[str, list[str]]) -> None:
    for letter in (*row["right"], *row["refused"]):
        outcome = verify(str(row["text"]), ChoiceGold(answer=letter)).outcome
        assert (outcome == "right") == (letter in row["right"]), (row["text"], letter)


LENIENT = [
    ("9 + 1", "10"),
    ("0.0833333333", r"\frac{1}{12}"),
    ("x = 5 + 5 + 1 = 7 = 11", "11"),
    (r"x = 5 + 5 + 2 = 11 \approx 12", "11"),
    ("1, 3", "(1, 3)"),
    ("6:1", "6"),
    ("0.111", "0,111"),
    ("3 dozen", "3"),
    (
        r"\begin{pmatrix} 1 \\ 2 \end{pmatrix} + \begin{pmatrix} 3 \\ 4 \end{pmatrix}",
        r"\begin{pmatrix} 4 \\ 6 \end{pmatrix}",
    ),
    ("1.22", "1,22"),
    ("She must score at least 9.", "9"),
    ("Navin would earn the most.", "Navin"),
    ("x = 2 or x = 5", r"so \boxed{x = 5 \text{ or } x = 2"),
    ("8", r"\strange{4} = 2k = k_1 = n = 8"),
]


@pytest.mark.parametrize(("text", "gold"), LENIENT)
def test_a_lenient_gold_also_counts_what_a_strict_one_leaves_in_doubt(text: str, gold: str) -> None:
    assert paid(text, gold, lenient=True)
    assert not paid(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("0.083", r"\frac{1}{12}"),
        ("9 + 2", "10"),
        ("It is 5 or 6.", "5"),
        ("The answer is not 7.", "7"),
        ("y=5", "x=5"),
        ("The answer is three times 30.", "30"),
        ("The thermometer shows 30 degrees below zero.", "30"),
        ("n = 30 does not work.", "30"),
        ("The answer is just under 30.", "30"),
        ("The answer is 3 mod 5.", "5"),
        ("Ida earned $30 on Monday and $12 on Tuesday.", "12"),
        ("He needs 6 boxes to pack 48 eggs.", "48"),
        ("It is at most 40.", "40"),
        ("Omar says the answer is 40, but he is wrong.", "40"),
        ("east or west", "east"),
        ("True or False", "True"),
        ("Navin is the wrong choice.", "Navin"),
        ("Navin earns less than Ian.", "Navin"),
        ("The final score was 21-14.", "7"),
        ("It takes $40-50.", "-10"),
        ("Finally, compute 100 - 37.", "63"),
    ],
)
def test_a_lenient_gold_still_refuses_what_differs(text: str, gold: str) -> None:
    assert not paid(text, gold, lenient=True)


def test_what_a_strict_gold_pays_a_lenient_one_pays() -> None:
    for rows in PROSE.values():
        for row in rows:
            assert all(paid(row["text"], gold, lenient=True) for gold in row["right"]), row["text"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(2, 99), min_size=3, max_size=3, unique=True))
def test_a_conclusion_pays_what_was_worked_out_and_none_of_its_other_numbers(numbers: list[int]) -> None:
    a, b, days = numbers
    text = (
        f"Pia picks {a} pears and {b} plums in {days} days.\n{a} + {b} = {a + b}\nSo Pia picks {a + b} in {days} days."
    )
    assert paid(text, str(a + b))
    assert not any(paid(text, str(n)) for n in {a, b, days, a + b + 1} - {a + b})


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="0123456789 .,$=+-x*/()[]{}^%√π°\\abc*\nSo is", max_size=80))
def test_no_soup_of_prose_crashes_and_mentions_are_parts_of_it(text: str) -> None:
    for sentence in sentences(text):
        main, beside = mentions(sentence)
        assert all(0 <= m.start < m.end for m in (*main, *beside))
    for lenient in (False, True):
        assert all(isinstance(said, str) for said in stated(text, lenient=lenient))
    assert not paid(text, "70368744177665")


def test_a_term_is_never_taken_apart() -> None:
    for value in ("5/7", "300/π", "-16", "3√2", "6 − 5i", "2:00 pm", "12%", "8 400", r"$\frac{3}{8}$", "2^{10}"):
        found, _ = mentions(f"In the end it is {value} for them")
        assert [m.text.strip("$") for m in found] == [value.strip("$")]


BODIES = [
    *("<answer>", "</answer>", "<answer></answer>", r"\boxed{", r"\boxed{7} ", "####", "answer is ", "Answer:\n"),
    *(
        "**",
        "$",
        "$$",
        r"\(",
        r"\[",
        r"\]",
        "(",
        "= 5 ",
        "5, ",
        "5 and ",
        "**5** ",
        "答案是",
        "A. ",
        "<|im_end|>",
        "<<",
        "<!--",
        "-->",
    ),
    *(
        "The answer is 5. ",
        "1 000 ",
        "1,000,",
        "{",
        "}",
        r"\text{",
        "\n",
        " ",
        " (",
        "1.\n",
        "(a ",
        "'",
        '"',
        r"\pm ",
        "5 + ",
        "one ",
    ),
    *(
        "a 3 which is wrong ",
        "no wait ",
        "5 but ",
        '{"answer": ',
        r"\begin{align} ",
        "if and only if ",
        "$5k ",
        "x = 5, ",
    ),
]


@pytest.mark.timeout(5)
@pytest.mark.parametrize("body", BODIES)
def test_finding_an_answer_takes_time_linear_in_the_text(body: str) -> None:
    """Twelve thousand times anything: a step that looks back over the whole text would take longer than it may."""
    text = body * 12_000
    assert find_answer(text).rule
    assert find_answer(rf"\boxed{{5}} {text}").rule
    assert find_answer(rf"\boxed{{5}}{text}x").rule
    assert verify(f"A{text[:3_000]}x", ChoiceGold(answer="B")).outcome == "wrong"
    assert not paid(f"{text}\nSo it is 42", "41")
    assert find_program(text, _PROGRAM).rule


def test_the_tags_around_a_program_are_those_of_the_last_closed_pair() -> None:
    text = "<answer>a = 1</answer> so <answer><answer>b = 2</answer> and </answer><answer>c"
    assert find_program(text, _PROGRAM).source == "<answer>b = 2"


def test_an_answer_in_the_middle_of_a_long_solution_is_a_step() -> None:
    text = "If x = 3, the answer is 9, but x is 4. " + "Then we go on. " * 120 + "\nSo the result is 16."
    assert paid(text, "16")
    assert not paid(text, "9")


@pytest.mark.parametrize("gold", [r"\max", r"\gcd 3", r"\min x", r"\lcm"])
def test_a_function_without_arguments_is_an_unreadable_gold(gold: str) -> None:
    assert re.search("arguments", str(check_gold(MathGold(answer=gold))))
