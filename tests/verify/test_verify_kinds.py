"""Choice, expression, assignment, format: tables of answers and what they are judged as."""

import pytest

from ponder.records import AssignmentGold, ChoiceGold, ExpressionGold, Gold, MathGold
from ponder.text.think import Response
from ponder.verify import VERIFIERS, check_gold, same_answer, verify
from ponder.verify.format import verify_format

OPTIONS = ChoiceGold(answer="B", options=("17", "60", "50", "a blue whale"))
BARE = ChoiceGold(answer="B")


@pytest.mark.parametrize(
    "text",
    ["B", "b", "(B)", "B.", "B. 60", "B) 60", "**B**", "**B**. 60", r"\boxed{B}",
     r"\boxed{\text{B}}", r"\boxed{(B) 60}",
     "ANSWER: B", "Answer: (B)", "The answer is B.", "The correct answer is option B.", "选 B",
     "答案是B", "答案：选B。",
     "60", r"\boxed{60}", "Ｂ", "<answer>B</answer>", "I choose B", "It is B, the middle one.", "B: 60", "$B$", "60."],
)  # fmt: skip
def test_choice_right(text: str) -> None:
    assert verify(text, OPTIONS).outcome == "right", verify(text, OPTIONS)


@pytest.mark.parametrize(
    "text",
    ["A", "(C)", "A or B", "A, B", "B or C", "A B C D", "ABCD", "", "17", "a blue whale", "61", "B. 17", "none",
     "BA",
     "Both B and C", r"\boxed{A} or \boxed{B}", "E", "maybe", "Bob", "be", "<answer></answer>",
     "The answer is A, not B",
     "not B", "The answer is not B", "B is not correct", "(B) is wrong", "B++", "Plan B", "Vitamin B", "选 A 或 B",
     "答案不是B", "It cannot be B", "B?", "maybe B", "B. 17",
     "A. 17\nB. 60\nC. 50\nD. a blue whale", "vitamin B is what the man in the story was short of"],
)  # fmt: skip
def test_choice_wrong(text: str) -> None:
    assert verify(text, OPTIONS).outcome == "wrong"


def test_letters_that_are_words() -> None:
    first = ChoiceGold(answer="A", options=("a fish", "a bird"))
    for text in ("A bird, surely.", "It is a very big one", "A whale", "That is a matter of taste", "I think so"):
        assert verify(text, first).outcome == "wrong", text
    for text in ("A", "It is A.", "A is correct", "option A", "A fish", "a fish", "The answer is (A).", "A: a fish"):
        assert verify(text, first).outcome == "right", text


def test_choice_gold() -> None:
    assert check_gold(OPTIONS) is None
    assert check_gold(ChoiceGold(answer="(b)")) is None
    for answer, options in (("K", ()), ("", ()), ("AB", ()), ("C", ("1", "2"))):
        assert check_gold(ChoiceGold(answer=answer, options=options)) is not None
    assert same_answer("B", "(b)", BARE) and not same_answer("A", "B", BARE) and not same_answer("?", "?", BARE)


COUNTDOWN = ExpressionGold(numbers=(79, 17, 60), target=36)


@pytest.mark.parametrize(
    "text",
    ["79 - 60 + 17", "(79-60)+17", "17+79-60", "79-(60-17)", r"\boxed{79 - 60 + 17}",
     "<answer>17 + (79 - 60)</answer>",
             "Answer: 79-60+17", "`79-60+17`", "$79-60+17$", r"\[79-60+17\]", r"\(79-60+17\)"]
)  # fmt: skip
def test_expression_right(text: str) -> None:
    assert verify(text, COUNTDOWN).outcome == "right", verify(text, COUNTDOWN)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("79-60", "uses the numbers"),
        ("79-60+17+0", "uses the numbers"),
        ("79-60+17-17+17", "uses the numbers"),
        ("36", "uses the numbers"),
        ("79+60+17", "equals 156"),
        ("79/(60-60)+17", "zero"),
        ("79-60+17=36", "not an expression"),
        ("79 − 60 + 17", "not an expression"),
        ("7960-17", "uses the numbers"),
        ("79-60+17.0", "not an expression"),
        ("79**60", "not an expression"),
        ("__import__('os').system('true')", "not an expression"),
        ("79-60+17 or 1", "not an expression"),
        ("((79-60+17", "not an expression"),
        ("-60+79+17", "not an expression"),
        ("", "no answer"),
        ("(" * 5_000 + "1" + ")" * 5_000, "longer than"),
        ("9" * 2_000, "not an expression"),
    ],
)
def test_expression_wrong(text: str, reason: str) -> None:
    verdict = verify(text, COUNTDOWN)
    assert verdict.outcome == "wrong"
    assert reason in verdict.reason


def test_expression_is_exact() -> None:
    gold = ExpressionGold(numbers=(8, 3, 8, 3), target=24)
    assert verify("8/(3-8/3)", gold).outcome == "right"
    assert verify(r"\boxed{\frac{8}{3-8/3}}", ExpressionGold(numbers=(8, 3, 8, 3), target=24)).outcome == "right"
    assert verify(r"\frac{8}{3-\frac{8}{3}}", gold).outcome == "right"
    assert verify("8/3*3", ExpressionGold(numbers=(8, 3, 3), target=8, operators="+-*")).outcome == "wrong"


def test_expression_gold() -> None:
    assert check_gold(COUNTDOWN) is None
    assert check_gold(ExpressionGold(numbers=(), target=1)) is not None
    assert check_gold(ExpressionGold(numbers=(-1, 2), target=1)) is not None
    assert check_gold(ExpressionGold(numbers=(1, 2), target=1, operators="+^")) is not None


KNIGHTS = AssignmentGold(values={"Ann": "knight", "Bob": "knave", "Cid": "knight"})
CHINESE = AssignmentGold(values={"甲": "骑士", "乙": "无赖"})
TRIAL = AssignmentGold(values={"Eve": "guilty", "Dan": "not guilty"})
ORDER = AssignmentGold(values={"1": "Ann", "2": "Bob", "3": "Cid"})


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Ann is a knight, Bob is a knave, and Cid is a knight.", KNIGHTS),
        ("Ann: knight\nBob: knave\nCid: knight", KNIGHTS),
        ("1) Ann = knight\n2) Bob = knave\n3) Cid = knight", KNIGHTS),
        (r"\boxed{\text{Ann is a knight, Bob is a knave, Cid is a knight}}", KNIGHTS),
        ("<answer>Cid is a knight; Ann is a knight; Bob is a knave</answer>", KNIGHTS),
        ("**Ann** is a **knight**, **Bob** is a **knave**, **Cid** is a **knight**", KNIGHTS),
        ("Ann and Cid are knights, and Bob is a knave.", KNIGHTS),
        ("Knights: Ann, Cid. Knaves: Bob", KNIGHTS),
        ("| Ann | knight |\n| Bob | knave |\n| Cid | knight |", KNIGHTS),
        ("Ann's a knight, Bob's a knave, Cid's a knight", KNIGHTS),
        ("If Ann were a knave, Bob would be a knight.\nAnn is a knight. Bob is a knave. Cid is a knight.", KNIGHTS),
        ("甲是骑士，乙是无赖", CHINESE),
        ("答案：甲是骑士，乙是无赖。", CHINESE),
        ("Eve is guilty, Dan is not guilty", TRIAL),
        ("First Ann, second Bob, third Cid", ORDER),
        ("Ann is first, Bob is second, Cid is third", ORDER),
        ("Ann, then Bob, then Cid", ORDER),
        ("The order is: Ann, Bob, Cid", ORDER),
        ("Ann, Bob, Cid", ORDER),
        ("Ann > Bob > Cid", ORDER),
        ("1. Ann\n2. Bob\n3. Cid", ORDER),
        ("1: Ann, 2: Bob, 3: Cid", ORDER),
        ("Answer: Ann, Bob, Cid", ORDER),
        ('["Ann", "Bob", "Cid"]', ORDER),
    ],
)
def test_assignment_right(text: str, gold: AssignmentGold) -> None:
    assert verify(text, gold).outcome == "right", verify(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Ann is a knight, Bob is a knave", KNIGHTS),
        ("Ann is a knight, Bob is a knight, Cid is a knight", KNIGHTS),
        ("Ann is a knight and a knave, Bob is a knave, Cid is a knight. Ann is a knave.", KNIGHTS),
        ("Ann is not a knight, Bob is a knave, Cid is a knight", KNIGHTS),
        ("Ann Bob Cid knight knave", KNIGHTS),
        ("Ann is a knight or a knave, Bob is a knave, Cid is a knight", KNIGHTS),
        ("Ann is a knight/knave, Bob is a knave, Cid is a knight", KNIGHTS),
        ("If Ann is a knight, Bob is a knave, Cid is a knight", KNIGHTS),
        ("Maybe Ann is a knight, Bob is a knave, Cid is a knight", KNIGHTS),
        ("It is false that Ann is a knight, Bob is a knave, Cid is a knight", KNIGHTS),
        ("Ann and Bob are knights, Cid is a knight", KNIGHTS),
        ("Everyone is a knight", KNIGHTS),
        ("甲不是骑士，乙是无赖", CHINESE),
        ("甲是骑士或无赖，乙是无赖", CHINESE),
        ("Eve is not guilty, Dan is not guilty", TRIAL),
        ("Cid is first, Bob is second, Ann is third", ORDER),
        ("", KNIGHTS),
        ("Bob, Ann, Cid", ORDER),
        ("Ann, Bob", ORDER),
        ("Ann, Bob, Cid, Ann", ORDER),
        ("Ann, Bob, Cid or Bob, Ann, Cid", ORDER),
        ("Ann", ORDER),
    ],
)
def test_assignment_wrong(text: str, gold: AssignmentGold) -> None:
    assert verify(text, gold).outcome == "wrong", verify(text, gold)


def test_assignment_gold() -> None:
    assert check_gold(KNIGHTS) is None
    assert check_gold(AssignmentGold(values={})) is not None
    assert check_gold(AssignmentGold(values={"Ann": ""})) is not None
    assert check_gold(AssignmentGold(values={"Ann": "x", "ann": "y"})) is not None
    assert same_answer("Ann, Bob, Cid", "1: Ann, 2: Bob, 3: Cid", ORDER)


@pytest.mark.parametrize("gold", [OPTIONS, COUNTDOWN, KNIGHTS, ORDER, MathGold(answer="42")])
def test_canaries_earn_nothing(gold: Gold) -> None:
    for text in (
        "",
        " ",
        "<answer></answer>",
        "<think></think>",
        "A, B, C, D",
        "?",
        "1 2 3 4 5 6 7 8 9",
        "...",
        "\x00",
    ):
        assert VERIFIERS[gold.kind](text, gold).outcome != "right", text


def _response(answer: str | None, problem: str = "") -> Response:
    return Response(thinking="", answer=answer, well_formed=not problem, problem=problem)


def test_format_pays_for_structure_with_a_readable_answer_only() -> None:
    gold = MathGold(answer="5")
    assert verify_format(_response("5"), gold).outcome == "right"
    assert verify_format(_response("7"), gold).outcome == "right"
    assert verify_format(_response("7")).outcome == "right"
    assert verify_format(_response("5", "</think> is missing"), gold).outcome == "wrong"
    assert verify_format(_response(None, "there is no answer"), gold).outcome == "wrong"
    assert verify_format(_response("I will not say"), gold).outcome == "wrong"
    assert verify_format(_response(r"\boxed{}"), gold).outcome == "wrong"
    assert verify_format(_response("9^{9^{9^{9}}}"), gold).outcome == "wrong"
    assert verify_format(_response("hello"), COUNTDOWN).outcome == "wrong"
    assert verify_format(_response("A or B"), BARE).outcome == "wrong"
