"""What is chosen among samples, and what else is to be begun."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ponder.compute.check import CHECKS, read_check
from ponder.compute.course import Ended, abstention, choose, to_begin
from ponder.compute.reading import Comparisons, Read, gold_to_read, read, same_of
from ponder.errors import DataError
from ponder.recipe.compute import ComputePlan
from ponder.records import ExpressionGold, MathGold, Outcome, Verdict
from ponder.verify import verify


def said(text: str, tokens: int = 10, score: float | None = None) -> Ended:
    """A sample whose answer is this text, read as without a check."""
    return Ended(read=read(text, verify(text, gold_to_read(None)), None), tokens=tokens, score=score)


def judged(outcome: Outcome) -> Ended:
    return Ended(read=Read(answer="7", verdict=Verdict(outcome=outcome, reason="")), tokens=1)


def test_a_vote_takes_the_shortest_sample_of_its_answer() -> None:
    plan = ComputePlan(vote=4)
    ended = [said("41"), said("42", tokens=9), said(r"it is \boxed{42}", tokens=5), said("42", tokens=5)]
    found = choose(plan, ended, same_of(None))
    assert found is not None and found.vote is not None
    assert (found.sample, found.vote.answer, found.vote.votes, found.over, found.abstains) == (2, "42", 3, True, False)


def test_a_vote_goes_on_until_it_is_settled() -> None:
    plan, same = ComputePlan(vote=4), same_of(None)
    assert to_begin(plan, []) == 4
    part = [said("42"), None, said("42"), None]
    found = choose(plan, part, same)
    assert found is not None and not found.over
    found = choose(plan, [*part[:3], said("42")], same)
    assert found is not None and found.over
    patient = choose(plan.model_copy(update={"stop_early": False}), [*part[:3], said("42")], same)
    assert patient is not None and not patient.over


def test_too_few_votes_abstain() -> None:
    plan = ComputePlan(vote=4, abstain_below=0.75)
    found = choose(plan, [said("42"), said("42"), said("41"), said("40")], same_of(None))
    assert found is not None and found.vote is not None and found.abstains
    assert abstention(found.vote, 0.75) == (
        "No answer: 2 of 4 samples agree on the most frequent answer, and 75 % were asked for."
    )
    enough = choose(plan, [said("42"), said("42"), said("42"), said("40")], same_of(None))
    assert enough is not None and not enough.abstains


def test_words_vote_where_no_sample_gives_a_value() -> None:
    plan = ComputePlan(vote=3)
    ended = [said("Paris"), said("London."), said("paris.")]
    found = choose(plan, ended, same_of(None))
    assert found is not None and found.vote is not None
    assert (found.vote.answer, found.vote.votes, found.sample) == ("paris", 2, 0)
    mixed = choose(plan, [said("7"), said("Paris"), said("Paris")], same_of(None))
    assert mixed is not None and mixed.vote is not None and mixed.sample == 1
    assert dict(mixed.vote.counts) == {"paris": 2, "7": 1}
    tied = choose(plan, [said("Paris"), said("London"), said("7")], same_of(None))
    assert tied is not None and tied.vote is not None and tied.vote.answer == "7"
    silent = choose(plan, [Ended(read=Read(answer=None), tokens=3)] * 3, same_of(None))
    assert silent is not None and silent.sample == 0 and silent.note is not None and silent.over


def test_best_of_takes_the_highest_score_the_first_of_equal_ones() -> None:
    plan = ComputePlan(best_of=4)
    ended = [said("1", score=0.5), said("2", score=2.0), said("3", score=2.0), said("4")]
    found = choose(plan, ended, same_of(None))
    assert found is not None and (found.sample, found.over) == (1, True)
    none = choose(plan, [said("1")] * 4, same_of(None))
    assert none is not None and none.sample == 0 and none.note is not None


@pytest.mark.parametrize(
    ("outcomes", "begun", "chosen", "over"),
    [
        ([], 1, None, False),
        (["right"], 1, 0, True),
        (["wrong"], 2, 0, False),
        (["wrong", "right"], 2, 1, True),
        (["wrong", "cannot_tell"], 3, 1, False),
        (["wrong", "wrong", "wrong"], 3, 0, True),
        (["wrong", "cannot_tell", "wrong"], 3, 1, True),
    ],
)
def test_retries_go_on_until_one_is_right(outcomes: list[Outcome], begun: int, chosen: int | None, over: bool) -> None:
    plan = ComputePlan(retries=2)
    ended = [judged(one) for one in outcomes]
    assert to_begin(plan, ended) == begun
    assert to_begin(plan, [*ended, None]) == len(ended) + 1  # one that runs is waited for
    found = choose(plan, ended, same_of(None))
    assert (None if found is None else found.sample) == chosen
    assert found is None or found.over == over


def test_a_plan_chooses_in_one_way() -> None:
    for wrong in (
        {"vote": 4, "best_of": 4},
        {"vote": 4, "retries": 1},
        {"abstain_below": 0.5},
        {"vote": 1},
        {"votes": 4},
    ):
        with pytest.raises(ValidationError):
            ComputePlan(**wrong)  # type: ignore[arg-type]


def test_checks_become_golds() -> None:
    assert read_check({"kind": "math", "answer": "42"}) == MathGold(answer="42")
    assert read_check({"kind": "expression", "numbers": [3, 7], "target": 10}) == ExpressionGold(
        numbers=(3, 7), target=10
    )
    code = read_check({"kind": "code", "tests": ["assert f(1) == 2"]})
    assert code.kind == "code" and code.tests == ("assert f(1) == 2",)
    assert set(CHECKS) >= {"math", "choice", "expression", "code"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "one of math"),
        ({"kind": "own", "function": "a.py:f"}, "one of math"),
        ({"kind": ["math"]}, "one of math"),
        ({"kind": "math"}, "answer"),
        ({"kind": "math", "answer": 42}, "answer"),
        ({"kind": "math", "answer": ""}, "empty"),
        ({"kind": "math", "anwser": "42"}, "^A check of kind 'math' has no 'anwser'; did you mean 'answer'\\?$"),
        ({"kind": "math", "x": "42"}, "^A check of kind 'math' has no 'x'; known here: answer, strictness$"),
        ({"kind": "expression", "numbers": ["3"], "target": 3}, "numbers"),
        ({"kind": "expression", "numbers": [3], "target": 3.5}, "target"),
        ({"kind": "expression", "numbers": [], "target": 3}, "no numbers"),
        ({"kind": "choice", "answer": "Z"}, "letter"),
        ({"kind": "code", "tests": ["assert True"] * 101}, "100 tests"),
        ({"kind": "code", "tests": ["assert f(1) == 2"], "seconds": 60.0}, "10 seconds"),
        ({"kind": "math", "answer": "\ud800"}, "read"),
    ],
)
def test_bad_checks_are_refused(value: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_check(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.sampled_from(list(CHECKS)), st.data())
def test_any_check_is_a_gold_or_refused(kind: str, data: st.DataObject) -> None:
    """Whatever stands in its fields."""
    names = [field.name for field in fields(CHECKS[kind]) if field.name != "kind"]
    value = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=len(names)))
    try:
        gold = read_check({"kind": kind, **value})
    except DataError:
        return
    assert gold.kind == kind


def test_comparisons_are_asked_for_once() -> None:
    known = Comparisons()
    assert known.missing(["1", "1", None]) == []
    assert known.missing(["1", "2", "3"]) == [("2", ["1"]), ("3", ["1", "2"])]
    known.learn("2", ["1"], [False])
    known.learn("3", ["1", "2"], [True, False])
    assert known.missing(["3", "2", "1"]) == []
    assert known.same("1", "3") and known.same("2", "2") and not known.same("2", "3")
