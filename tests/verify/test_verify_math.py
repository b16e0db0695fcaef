"""Mathematical answers: the table of cases, and properties that hold for every answer."""

import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.maths.equality import equal
from ponder.maths.reader import read
from ponder.maths.tree import TooLarge, Unreadable
from ponder.records import MathGold
from ponder.verify import check_gold, same_answer, verify

CASES = defaultdict(list)
for _line in (Path(__file__).parent / "cases" / "math.jsonl").read_text(encoding="utf-8").splitlines():
    _case = json.loads(_line)
    CASES[_case["group"]].append(_case)


def outcome(answer: str, gold: str) -> str:
    return verify(answer, MathGold(answer=gold)).outcome


@pytest.mark.parametrize("group", CASES)
def test_every_case_of_the_table(group: str) -> None:
    failed = []
    for case in CASES[group]:
        assert check_gold(MathGold(answer=case["gold"])) is None, case["gold"]
        got = outcome(case["answer"], case["gold"])
        accepted = ("wrong", "cannot_tell") if case["expected"] == "refused" else (case["expected"],)
        if got not in accepted:
            failed.append((case["gold"], case["answer"], case["expected"], got))
    assert not failed


def test_the_table_is_large() -> None:
    assert sum(map(len, CASES.values())) >= 400


@pytest.mark.parametrize(
    "gold", ["", "   ", "$$", r"\frac{1}{", r"\int_0^1 x dx", "9^{9^{9^{9}}} +", "(1, 2", r"\unknown{3}", "1/0", "?"]
)
def test_unreadable_gold_is_reported_and_judges_nothing_right(gold: str) -> None:
    assert check_gold(MathGold(answer=gold)) is not None
    assert outcome("42", gold) == "cannot_tell"
    assert outcome(gold, gold) != "right"


def test_no_answer_is_wrong_and_the_reason_says_why() -> None:
    verdict = verify("", MathGold(answer="5"))
    assert (verdict.outcome, verdict.answer, verdict.score) == ("wrong", None, 0.0)
    assert "nothing stands after the thinking" in verdict.reason


def test_an_answer_that_is_not_understood_cannot_be_told_and_is_not_handed_on() -> None:
    verdict = verify(r"\boxed{\int x}", MathGold(answer="5"))
    assert (verdict.outcome, verdict.answer) == ("cannot_tell", None)
    assert "int" in verdict.reason


def test_words_for_a_value_are_wrong_and_no_readable_answer() -> None:
    verdict = verify("I do not know", MathGold(answer="5"))
    assert (verdict.outcome, verdict.answer) == ("wrong", None)


@settings(deadline=None)
@given(st.integers(-(10**40), 10**40))
def test_every_integer_equals_itself_and_not_its_neighbour(n: int) -> None:
    assert outcome(f"{n:,}", str(n)) == "right"
    assert outcome(f"\\boxed{{{n}}}", str(n)) == "right"
    assert outcome(str(n + 1), str(n)) == "wrong"


@settings(deadline=None)
@given(st.integers(-999, 999), st.integers(1, 999), st.integers(1, 50))
def test_every_fraction_equals_its_multiples_and_not_its_neighbour(p: int, q: int, k: int) -> None:
    assert outcome(f"\\frac{{{p * k}}}{{{q * k}}}", f"{p}/{q}") == "right"
    assert outcome(f"{p + 1}/{q}", f"{p}/{q}") == "wrong"


_TERMS = st.recursive(
    st.one_of(st.integers(1, 12).map(str), st.sampled_from(["x", "y", r"\pi", r"\sqrt{2}"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        inner.map(lambda t: f"\\frac{{{t}}}{{7}}"),
        inner.map(lambda t: f"{{({t})}}^{{2}}"),
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(_TERMS)
def test_every_term_equals_a_rewriting_of_it_and_not_the_next_one(term: str) -> None:
    gold = read(term)
    assert equal(gold, read(f"-(0-({term}))"))
    assert equal(gold, read(f"\\frac{{2({term})+4}}{{2}}-2"))
    assert not equal(gold, read(f"{term}+1"))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_reading_any_text_ends_in_a_tree_or_a_named_refusal(text: str) -> None:
    try:
        tree = read(text)
    except (Unreadable, TooLarge) as stopped:
        assert str(stopped)
    else:
        with suppress(TooLarge):
            assert equal(tree, tree)


_SIGNS = st.lists(
    st.sampled_from(
        [
            *"0123456789xye+-*/^(){}[],.=<>|!%$",
            "\\frac",
            "\\sqrt",
            "\\boxed{",
            "\\pm",
            "\\cup",
            "\\infty",
            " or ",
            "\\text{",
        ]
    ),
    max_size=25,
).map("".join)


@settings(max_examples=200, deadline=None)
@given(_SIGNS)
def test_no_soup_of_signs_crashes_or_equals_a_number_it_does_not_hold(text: str) -> None:
    assert outcome(text, "70368744177665") != "right"


def test_same_answer_groups_what_means_the_same() -> None:
    gold = MathGold(answer="1/2")
    assert same_answer("0.5", r"\frac{1}{2}", gold)
    assert same_answer("x=5", "5", gold)
    assert not same_answer("0.5", "0.6", gold)
    assert not same_answer(r"\unknown{1}", r"\unknown{2}", gold)
    assert same_answer(r"\unknown{1}", r"\unknown{1}", gold)


def test_a_reason_is_short_however_long_the_answer_is() -> None:
    verdict = verify("The answer is 3 " + "wug" * 1000, MathGold(answer="4"))
    assert verdict.outcome != "right"
    assert len(verdict.reason) < 400


STEPS = "The shop loses a fifth of its stock on each of two days. " * 12


def test_a_whole_solution_as_a_gold_is_what_it_always_says_to_be_the_final_answer() -> None:
    said = "Final Answer: The final answer is $36\\%$. I hope so. Note: the text above is wrong. "
    assert outcome(r"\boxed{36\%}", STEPS + said + "It goes on. " + said) == "right"
    assert outcome(r"\boxed{20\%}", STEPS + said) == "wrong"
    assert outcome(r"\boxed{36\%}", STEPS + said + said.replace("36", "40")) != "right"
