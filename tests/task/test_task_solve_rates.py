"""Problems drawn by the solve rates measured so far: bands, kinds, bounds of domains, and a state that goes on."""

import json
from collections import Counter
from collections.abc import Mapping
from random import Random

import pytest

from ponder.recipe.problems import MicroProblems
from ponder.recipe.sampler import Sampler
from ponder.records import MathGold, Message, Problem
from ponder.task import Loaded, load_problems
from ponder.task.solve_rates import SolveRates, Tried, _bounded


def loaded(sizes: Mapping[str, int], weights: Mapping[str, float] | None = None) -> Loaded:
    """A source for each domain, of problems of two difficulties."""
    problems = tuple(
        Problem(
            id=f"{domain}/{i}",
            messages=(Message(role="user", content=f"{domain} {i}"),),
            gold=MathGold(answer="1"),
            domain=domain,
            difficulty=i % 2,
        )
        for domain, size in sizes.items()
        for i in range(size)
    )
    return Loaded(problems=problems, left_out=(), weights=dict(weights or dict.fromkeys(sizes, 1.0)), sizes=dict(sizes))


def sampler(problems: Loaded, **fields: object) -> SolveRates:
    return SolveRates(problems, Sampler.model_validate(fields), seed=3)


def learn(rates: SolveRates, problem: Problem, right: int, judged: int = 16) -> None:
    rates.learn([Tried(problem=problem, right=right, judged=judged, useful=0 < right < judged)])


def test_without_knowledge_every_problem_comes_once_before_any_comes_twice() -> None:
    problems = loaded({"a": 7, "b": 5})
    rates = sampler(problems, domain_share=None)
    drawn = [problem for _ in range(3) for problem in rates.draw(4)]
    counts = Counter(problem.domain for problem in drawn)
    assert counts == {"a": 6, "b": 6}, "by the weights of the sources"
    assert len({problem.id for problem in drawn}) == 11
    heavy = sampler(loaded({"a": 70, "b": 50}, {"a": 3.0, "b": 1.0}), domain_share=None)
    assert Counter(problem.domain for problem in heavy.draw(40)) == {"a": 30, "b": 10}


def test_what_is_solved_always_or_never_is_passed_over() -> None:
    problems = loaded({"a": 12})
    rates = sampler(problems, domain_share=None)
    for _ in range(4):
        for place, problem in enumerate(problems.problems):
            learn(rates, problem, {0: 0, 1: 16}.get(place % 4, 8))
    drawn = {problem.id for _ in range(5) for problem in rates.draw(3)}
    assert drawn <= {f"a/{i}" for i in range(12) if i % 4 > 1}
    assert len(drawn) > 4


def test_an_untried_problem_has_the_rate_of_its_kind() -> None:
    problems = loaded({"a": 40})
    rates = sampler(problems, domain_share=None)
    for problem in problems.problems[:10]:
        learn(rates, problem, 0 if problem.difficulty else 8)
    assert rates.rate(problems.problems[21]) == 0
    assert rates.rate(problems.problems[20]) == pytest.approx(0.5)
    assert {problem.difficulty for problem in rates.draw(12)} == {0}


def test_rates_follow_the_model() -> None:
    problems = loaded({"a": 4})
    rates, problem = sampler(problems), problems.problems[0]
    learn(rates, problem, 0)
    assert rates.rate(problem) == 0
    for _ in range(6):
        learn(rates, problem, 16)
    rate = rates.rate(problem)
    assert rate is not None and rate > 0.9


def test_where_nothing_is_in_the_band_the_nearest_is_taken() -> None:
    problems = loaded({"a": 6})
    rates = sampler(problems)
    for _ in range(3):
        for i, problem in enumerate(problems.problems):
            learn(rates, problem, 15 if i == 4 else 16)
    assert rates.draw(1)[0].id == "a/4"
    assert len({problem.id for problem in rates.draw(6)}) == 6


def test_domains_that_teach_nothing_keep_their_least_share() -> None:
    problems = loaded({"easy": 50, "hard": 50, "fit": 50})
    rates = sampler(problems, domain_share=[0.1, 0.7])
    for _ in range(30):
        rates.learn(
            [
                Tried(
                    problem=problem,
                    right={"easy": 16, "hard": 0, "fit": 8}[problem.domain],
                    judged=16,
                    useful=problem.domain == "fit",
                )
                for problem in rates.draw(10)
            ]
        )
    shares = rates.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["fit"] == pytest.approx(0.7) and min(shares.values()) >= 0.1
    counts = Counter(problem.domain for problem in rates.draw(100))
    assert abs(counts["fit"] - 70) <= 1 and min(counts.values()) >= 10


@pytest.mark.parametrize("seed", range(200))
def test_bounded_shares_keep_their_bounds_and_their_sum(seed: int) -> None:
    rng = Random(seed)
    weights = {str(i): rng.random() ** 4 + 1e-9 for i in range(rng.randint(1, 9))}
    least, most = rng.random() * 0.3, 0.3 + rng.random() * 0.7
    shares = _bounded(weights, least, most)
    assert sum(shares.values()) == pytest.approx(1)
    assert all(min(least, 1 / len(weights)) - 1e-9 <= share for share in shares.values())
    assert all(share <= max(most, 1 / len(weights)) + 1e-9 for share in shares.values())
    order = sorted(weights, key=lambda name: weights[name])
    assert [shares[name] for name in order] == pytest.approx(sorted(shares.values()))


def test_a_restored_state_goes_on_as_the_one_that_was_saved() -> None:
    problems = load_problems([MicroProblems(count=120)])
    rng, whole = Random(0), sampler(problems)
    resumed: SolveRates | None = None
    for step in range(12):
        drawn = whole.draw(8)
        if resumed is not None:
            assert resumed.draw(8) == drawn
        tried = [Tried(problem=one, right=(right := rng.randrange(5)), judged=4, useful=0 < right < 4) for one in drawn]
        whole.learn(tried)
        if resumed is not None:
            resumed.learn(tried)
            assert resumed.state() == whole.state()
        if step == 5:
            resumed = sampler(problems)
            resumed.restore(json.loads(json.dumps(whole.state())))


@pytest.mark.parametrize(
    ("key", "value"),
    [("keep", [0.8, 0.2]), ("keep", [0.5, 0.5]), ("keep", [-0.1, 1]), ("domain_share", [0.6, 0.4]), ("by", "x")],
)
def test_bands_that_make_no_sense_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        Sampler.model_validate({key: value})
