"""The order of problems: every one once per pass, sources in proportion, the same without state."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.records import Message, Problem
from ponder.task import Loaded, problem_at, problems_for_step


def loaded(sizes: dict[str, int], weights: dict[str, float] | None = None) -> Loaded:
    problems = tuple(
        Problem(id=f"{name}/{i}", messages=(Message(role="user", content="q"),), gold=None, domain=name)
        for name, size in sizes.items()
        for i in range(size)
    )
    return Loaded(problems=problems, left_out=(), weights=weights or dict.fromkeys(sizes, 1.0), sizes=sizes)


def test_one_source_comes_whole_in_every_pass() -> None:
    data = loaded({"a": 7})
    passes = [[problem_at(data, 1, 7 * p + i).id for i in range(7)] for p in range(20)]
    assert all(sorted(ids) == sorted(passes[0]) and len(set(ids)) == 7 for ids in passes)
    assert len({tuple(ids) for ids in passes}) > 10
    assert passes[0] != [problem_at(data, 2, i).id for i in range(7)]


def test_order_needs_no_state() -> None:
    data = loaded({"a": 5, "b": 9}, {"a": 1.0, "b": 0.3})
    forward = [problem_at(data, 3, i) for i in range(100)]
    assert [problem_at(data, 3, i) for i in reversed(range(100))] == forward[::-1]
    assert problems_for_step(data, 3, 4, 10) == tuple(forward[40:50])
    assert problem_at(data, 3, 10**12) in data.problems


weights = st.lists(st.floats(0.01, 100), min_size=1, max_size=5)


@settings(deadline=None, max_examples=25)
@given(weights=weights, seed=st.integers(0, 2**40))
def test_sources_come_in_proportion_at_any_moment(weights: list[float], seed: int) -> None:
    names = [f"s{i}" for i in range(len(weights))]
    data = loaded({name: 3 + i for i, name in enumerate(names)}, dict(zip(names, weights, strict=True)))
    counts: Counter[str] = Counter()
    visits: Counter[str] = Counter()
    for index in range(200):
        problem = problem_at(data, seed, index)
        counts[problem.domain] += 1
        visits[problem.id] += 1
        for name, weight in zip(names, weights, strict=True):
            expected = (index + 1) * weight / sum(weights)
            assert counts[name] == pytest.approx(expected, abs=len(weights))
    for name in names:  # no problem of a source is a whole pass ahead of another
        seen = [visits[p.id] for p in data.problems if p.domain == name]
        assert max(seen) - min(seen) <= 1
