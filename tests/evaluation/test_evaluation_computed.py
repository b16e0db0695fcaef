"""What plans make of the samples of an evaluation, by hand numbers and against cons@k."""

import random
from fractions import Fraction
from statistics import fmean

import pytest

from ponder.errors import DataError
from ponder.evaluation.computed import computed
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.scores import score
from ponder.recipe.compute import ComputePlan, plan_of
from ponder.records import MathGold, Message, Problem
from ponder.text.template import TEMPLATES
from ponder.text.think import Response
from ponder.verify import verify

TEMPLATE = TEMPLATES["r1-zero"]


def result(name: str, gold: str, *answers: str | None, thinking: str = "so 1 + 1 = 2") -> ProblemResult:
    """A problem whose samples give these answers, the i-th of 10 + i tokens; None is cut off."""
    known = MathGold(answer=gold)
    samples = []
    for number, answer in enumerate(answers):
        text = f"{thinking}</think><answer>{answer}</answer>" if answer is not None else f"{thinking} and"
        response = TEMPLATE.split(text, finished=answer is not None)
        samples.append(
            JudgedCompletion(
                text=text,
                tokens=10 + number,
                finish_reason="stop" if answer is not None else "length",
                seed=number,
                verdict=verify(response.answer or "", known),
            )
        )
    problem = Problem(id=name, messages=(Message(role="user", content="?"),), gold=known, domain="math")
    return ProblemResult(problem=problem, samples=tuple(samples))


RESULTS = [
    result("a", "0.5", "1/2", "0.5", "3", "4"),
    result("b", "7", "8", "8", "7", None),
    result("c", "7", "8", "7", "7", None),
    result("d", "7", None, None, None, "7"),
]


def test_a_vote_by_hand() -> None:
    found = computed(RESULTS, ComputePlan(vote=4), TEMPLATE, None, 0)
    assert (found.right, found.answered, found.of_answered) == (0.75, 1.0, 0.75)
    assert (found.samples, found.tokens, found.claims) == (4.0, 46.0, None)
    careful = computed(RESULTS, ComputePlan(vote=4, abstain_below=0.5), TEMPLATE, None, 0)
    assert (careful.right, careful.answered, careful.of_answered) == (0.5, 0.75, pytest.approx(2 / 3))


def test_retries_by_hand() -> None:
    found = computed(RESULTS, ComputePlan(retries=3), TEMPLATE, None, 0)
    assert found.right == 1.0 and found.samples == (1 + 3 + 2 + 4) / 4
    assert found.tokens == (10 + 33 + 21 + 46) / 4
    once = computed(RESULTS, ComputePlan(retries=1), TEMPLATE, None, 0)
    assert once.right == 0.5


def test_best_of_by_hand() -> None:
    def likes(problem: Problem, response: Response) -> float | None:
        return None if response.answer is None else float(Fraction(response.answer))

    found = computed(RESULTS, ComputePlan(best_of=4), TEMPLATE, likes, 0)
    assert found.right == 0.25  # only where the largest answer is the right one


def test_an_audit_counts_the_equations_of_the_replies() -> None:
    results = [
        result("a", "7", "7", "7", thinking="3 + 4 = 7"),
        result("b", "7", "7", "7", thinking="3 + 4 = 8, x = 5"),
    ]
    found = computed(results, ComputePlan(vote=2, audit=True), TEMPLATE, None, 0)
    assert found.claims == {"right": 1, "wrong": 1, "cannot_tell": 1}
    assert found.to_json()["claims"] == found.claims


def test_a_vote_without_ties_is_cons_at_16() -> None:
    draw = random.Random(7)
    answers = ["7", r"\frac{14}{2}", "8", "9", None]
    results = [result(str(i), "7", *(draw.choice(answers) for _ in range(16))) for i in range(40)]
    untied = [r for r in results if _lead(r)]
    assert len(untied) > 25
    votes = [computed([one], ComputePlan(vote=16), TEMPLATE, None, 0).right for one in untied]
    assert votes == [score([one], TEMPLATE, {}, 0).overall.cons_at[16] for one in untied]
    assert fmean(votes) == computed(untied, ComputePlan(vote=16), TEMPLATE, None, 0).right
    assert 0 < fmean(votes) < 1


def _lead(one: ProblemResult) -> bool:
    """Whether one value has more votes than any other, counted by Python's own fractions."""
    values = [{"7": 7, r"\frac{14}{2}": 7, "8": 8, "9": 9}.get(s.verdict.answer or "") for s in one.samples]
    counts = sorted((values.count(value) for value in (7, 8, 9)), reverse=True)
    return counts[0] > counts[1]


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match="--samples 5"):
        computed(RESULTS, ComputePlan(vote=5), TEMPLATE, None, 0)


def test_options_become_a_plan() -> None:
    assert plan_of(vote=None, audit=False, retries=None) is None
    assert plan_of(vote=4, audit=False) == ComputePlan(vote=4)
