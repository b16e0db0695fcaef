"""Sources that leave the stream of problems while others enter."""

from collections import Counter

import pytest

from ponder.records import Message, Problem
from ponder.task import Loaded, entering_problem_at


def loaded(**sizes: int) -> Loaded:
    problems = tuple(
        Problem(id=f"{name}/{i}", messages=(Message(role="user", content="q"),), gold=None, domain=name)
        for name, size in sizes.items()
        for i in range(size)
    )
    return Loaded(problems=problems, left_out=(), weights=dict.fromkeys(sizes, 1.0), sizes=sizes)


def test_a_source_that_leaves_is_drawn_until_then_and_the_others_go_on_in_their_order() -> None:
    data = loaded(a=11, b=7)
    drawn = [entering_problem_at(data, 5, i, {}, {"b": 30}) for i in range(90)]
    assert Counter(one.domain for one in drawn[:30]) == {"a": 15, "b": 15}
    assert {one.domain for one in drawn[30:]} == {"a"}
    alone = [one.id for one in drawn if one.domain == "a"]
    assert [len(set(alone[i : i + 11])) for i in range(0, 66, 11)] == [11] * 6, "every one once in each pass"
    before = [entering_problem_at(data, 5, i, {}) for i in range(30)]
    assert drawn[:30] == before, "what comes before is as if nothing left"


def test_one_source_hands_over_to_another() -> None:
    data = loaded(a=4, b=4, c=4)
    starts, ends = {"b": 8, "c": 12}, {"a": 8, "b": 20}
    drawn = [entering_problem_at(data, 1, i, starts, ends).domain for i in range(32)]
    assert drawn[:8] == ["a"] * 8
    assert drawn[8:12] == ["b"] * 4
    assert Counter(drawn[12:20]) == {"b": 4, "c": 4}
    assert drawn[20:] == ["c"] * 12


@pytest.mark.parametrize("seed", range(5))
def test_a_source_may_leave_and_each_problem_is_seen_as_often(seed: int) -> None:
    data = loaded(a=5, b=3, c=9)
    ends = {"a": 17, "c": 33}
    visits = Counter(entering_problem_at(data, seed, i, {"c": 4}, ends).id for i in range(60))
    for name in "abc":
        seen = [visits[f"{name}/{i}"] for i in range(data.sizes[name])]
        assert max(seen) - min(seen) <= 1
