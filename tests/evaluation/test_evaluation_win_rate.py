"""Win rates by value: hand numbers, the regression against an independent solver and against data made from it."""

from collections.abc import Sequence
from pathlib import Path

import mpmath
import numpy as np
import pytest

from ponder.evaluation.estimate import bootstrap_interval
from ponder.evaluation.preference import compare_answers, write_comparisons
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.win_rate import Comparison, length_controlled, read_win_rates, win_rate, write_win_rates
from ponder.judge import Pair, Preference
from ponder.records import Message, Outcome, Problem, Verdict
from ponder.text import TEMPLATES


def comparison(problem: str, preference: float | None, longer: int = 0, index: int = 0) -> Comparison:
    return Comparison(
        problem=problem,
        index=index,
        preference=preference,
        characters=100 + longer,
        baseline_characters=100,
        reason="",
    )


def test_rates_by_hand() -> None:
    rate = win_rate(
        [
            comparison("a", 1.0),
            comparison("a", 0.0, index=1),
            comparison("b", 0.5),
            comparison("c", 1.0),
            comparison("c", None, index=1),
            comparison("d", None),
        ]
    )
    assert (rate.wins, rate.ties, rate.losses, rate.unjudged, rate.problems) == (2, 1, 1, 2, 3)
    assert rate.rate == pytest.approx((0.5 + 0.5 + 1) / 3)  # problems count alike
    assert rate.interval == bootstrap_interval([0.5, 0.5, 1.0], seed=0)
    assert (rate.characters, rate.baseline_characters) == (100, 100)


def test_nothing_judged_is_no_rate() -> None:
    rate = win_rate([comparison("a", None), comparison("b", None)])
    assert (rate.rate, rate.interval, rate.controlled, rate.unjudged) == (None, None, None, 2)
    assert rate.to_json()["win_rate"] is None


@pytest.mark.parametrize("seed", range(4))
def test_the_regression_agrees_with_a_root_finder(seed: int) -> None:
    draw = np.random.default_rng(seed)
    preference = draw.choice([0.0, 0.5, 1.0], 24)
    difference = draw.normal(20, 60, 24).round()
    weight = draw.integers(0, 4, 24).astype(float)
    length = np.tanh(difference / difference.std())

    def slopes(a: mpmath.mpf, b: mpmath.mpf) -> Sequence[mpmath.mpf]:
        rows = list(zip(weight.tolist(), preference.tolist(), length.tolist(), strict=True))
        errors = [w * (1 / (1 + mpmath.exp(-(a + b * x))) - y) for w, y, x in rows]
        return (
            mpmath.fsum(errors) + 0.01 * a,
            mpmath.fsum(e * x for e, (_, _, x) in zip(errors, rows, strict=True)) + 0.01 * b,
        )

    a = mpmath.findroot(slopes, (0, 0))[0]
    found = length_controlled(preference, difference, weight[None, :])
    assert found[0] == pytest.approx(float(1 / (1 + mpmath.exp(-a))), abs=1e-8)


@pytest.mark.parametrize(("a", "b"), [(0.0, 2.0), (0.8, 1.0), (-0.8, 1.5)])
def test_what_made_the_data_is_found_again(a: float, b: float) -> None:
    draw = np.random.default_rng(3)
    longer = draw.normal(150, 200, 4000).round().astype(int)
    chance = 1 / (1 + np.exp(-(a + b * np.tanh(longer / longer.std()))))
    rows = [
        comparison(str(i), float(draw.random() < p), int(d))
        for i, (p, d) in enumerate(zip(chance, longer, strict=True))
    ]
    rate = win_rate(rows, seed=1)
    assert rate.rate is not None and rate.controlled is not None and rate.controlled_interval is not None
    assert rate.rate == pytest.approx(float(chance.mean()), abs=0.03)
    assert rate.controlled == pytest.approx(1 / (1 + np.exp(-a)), abs=0.04)
    low, high = rate.controlled_interval
    assert low < 1 / (1 + np.exp(-a)) < high and high - low < 0.12
    if a == 0:  # liked for its length alone
        assert rate.rate > 0.6 > 0.55 > rate.controlled


def test_equal_lengths_need_no_control() -> None:
    rows = [comparison(str(i), float(i % 4 != 0)) for i in range(400)]
    rate = win_rate(rows)
    assert rate.rate == 0.75
    assert rate.controlled == pytest.approx(0.75, abs=1e-3)


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.9, 1.0), (0.0, 0.0, 0.1)])
def test_all_won_or_lost_stays_finite(value: float, low: float, high: float) -> None:
    rate = win_rate([comparison(str(i), value, longer=i % 7 - 3) for i in range(30)])
    assert rate.rate == value
    assert rate.controlled is not None and low < rate.controlled < high
    assert rate.interval is not None and rate.interval[1] - rate.interval[0] > 0.05  # thirty problems are no certainty


def test_only_longer_answers_cannot_be_told_from_better_ones() -> None:
    rate = win_rate([comparison(str(i), float(i % 10 < 8), longer=500 + i % 3) for i in range(200)])
    assert rate.rate == 0.8
    assert rate.controlled is not None and 0.5 < rate.controlled < 0.8  # shared out, as the page says


# Comparing the answers of two files


def result(name: str, *answers: tuple[str | None, float, Outcome]) -> ProblemResult:
    problem = Problem(id=name, messages=(Message(role="user", content="?"),), gold=None, domain="d", route="helpful")
    samples = tuple(
        JudgedCompletion(
            text="<think>never" if answer is None else f"<think>x</think> <answer>{answer}</answer>",
            tokens=3,
            finish_reason="length" if answer is None else "stop",
            seed=0,
            verdict=Verdict(outcome=outcome, reason="why", score=score),
        )
        for answer, score, outcome in answers
    )
    return ProblemResult(problem=problem, samples=samples)


class Reader:
    """Prefers the answer with more words, and cannot tell where one says `odd`."""

    def __init__(self) -> None:
        self.asked: list[Pair] = []

    def compare(self, pairs: Sequence[Pair]) -> list[Preference]:
        self.asked += pairs
        return [
            Preference(
                difference=None if "odd" in p.first else float(len(p.first.split()) - len(p.second.split())),
                votes=1,
                reason="words",
            )
            for p in pairs
        ]

    def correct(self, items: object) -> list[Verdict]:
        raise AssertionError

    def safe(self, items: object) -> list[Verdict]:
        raise AssertionError

    def counters(self) -> dict[str, int]:
        return {}


def test_answers_are_compared_sample_by_sample(tmp_path: Path) -> None:
    template = TEMPLATES["r1-zero"]
    model = [
        result("a", ("one two three", 1.0, "right"), (None, 0.0, "wrong")),
        result("b", ("odd", 0.4, "wrong"), (None, 0.0, "wrong")),
    ]
    standard = [
        result("b", ("x", 0.4, "wrong"), (None, 0.0, "wrong")),
        result("a", ("one two", 0.6, "right"), ("here", 0.0, "wrong")),
    ]
    judge = Reader()
    found = compare_answers((template, model), (template, standard), judge)
    assert [(c.problem, c.index, c.preference) for c in found] == [
        ("a", 0, 1.0), ("a", 1, 0.0), ("b", 0, None), ("b", 1, 0.5),
    ]  # fmt: skip
    assert [(p.first, p.second) for p in judge.asked] == [("one two three", "one two"), ("odd", "x")]
    assert (found[0].characters, found[0].baseline_characters) == (13, 7)
    by_rule = compare_answers((template, model), (template, standard), None)
    assert [c.preference for c in by_rule] == [1.0, 0.0, 0.5, 0.5]
    assert by_rule[0].reason == "scores 1 and 0.6"
    write_comparisons(tmp_path / "c.jsonl", found)
    assert len((tmp_path / "c.jsonl").read_text().splitlines()) == 4


def test_what_no_rule_can_tell_is_not_judged() -> None:
    template = TEMPLATES["r1-zero"]
    rows = [result("a", ("x", 0.0, "cannot_tell"))]
    assert [c.preference for c in compare_answers((template, rows), (template, rows), None)] == [None]


def test_the_file_of_rates(tmp_path: Path) -> None:
    assert read_win_rates(tmp_path) == {}
    rate = win_rate([comparison("a", 1.0), comparison("b", 0.0)])
    write_win_rates(tmp_path, {"baseline": "base"}, {"chat": {"zero": rate}})
    assert read_win_rates(tmp_path) == {"chat": {"zero": rate.to_json()}}
