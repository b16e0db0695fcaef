"""Every two models on the same problems: p by value, signs, and what may not be called significant."""

import json
import warnings
from dataclasses import replace
from math import gamma, pi, sqrt
from pathlib import Path

import numpy as np
import pytest

from ponder.errors import RunFolderError
from ponder.evaluation.estimate import paired_difference, paired_p_value
from ponder.evaluation.paired import compare_models, read_paired, write_paired
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.scores import Scores, score
from ponder.records import MathGold, Message, Problem, Verdict
from ponder.text import TEMPLATES


def by_integration(t: float, freedom: int) -> float:
    """Two-sided p from the density of Student's t, by the trapezium rule."""
    x = np.linspace(0, abs(t), 200_001)
    density = (
        gamma((freedom + 1) / 2)
        / (sqrt(freedom * pi) * gamma(freedom / 2))
        * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    )
    return 1 - 2 * float(np.trapezoid(density, x))


@pytest.mark.parametrize("seed", range(5))
def test_p_is_that_of_the_paired_t_test(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.random(12), draw.random(12)
    d = second - first
    t = d.mean() / (d.std(ddof=1) / sqrt(12))
    assert paired_p_value(first.tolist(), second.tolist()) == pytest.approx(by_integration(t, 11), abs=1e-7)


@pytest.mark.parametrize(("size", "critical"), [(2, 12.706), (10, 2.262), (30, 2.045), (121, 1.980)])
def test_p_at_tabled_critical_values(size: int, critical: float) -> None:
    spread = np.array([1.0, -1.0] * (size // 2) + [0.0] * (size % 2))
    mean = critical * spread.std(ddof=1) / sqrt(size)
    assert paired_p_value([0.0] * size, (spread + mean).tolist()) == pytest.approx(0.05, abs=2e-4)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ([0.2], [0.9], 1.0),  # one problem says nothing
        ([0.2, 0.4, 0.7], [0.2, 0.4, 0.7], 1.0),
        ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], 0.25),  # no spread: the sign test
        ([0.1] * 10, [0.3] * 10, 2**-9),
        ([0.0, 1.0], [1.0, 0.0], 1.0),
    ],
)
def test_p_without_spread(first: list[float], second: list[float], p: float) -> None:
    assert paired_p_value(first, second) == pytest.approx(p)


def scores(model: str, right: dict[str, int], samples: int = 4) -> Scores:
    def result(name: str, count: int) -> ProblemResult:
        problem = Problem(id=name, messages=(Message(role="user", content="?"),), gold=MathGold(answer="5"), domain="d")
        return ProblemResult(
            problem=problem,
            samples=tuple(
                JudgedCompletion(
                    text="<think>x</think> <answer>5</answer>",
                    tokens=4,
                    finish_reason="stop",
                    seed=0,
                    verdict=Verdict(outcome="right" if i < count else "wrong", reason="", answer="5"),
                )
                for i in range(samples)
            ),
        )

    return score([result(name, count) for name, count in right.items()], TEMPLATES["r1-zero"], {"model": model}, 0)


def test_every_pair_once() -> None:
    draw = np.random.default_rng(1)
    weak = {str(i): int(draw.integers(0, 3)) for i in range(40)}
    strong = {name: min(4, count + int(draw.integers(0, 3))) for name, count in weak.items()}
    by_model = {"weak": scores("weak", weak), "strong": scores("strong", strong), "again": scores("again", weak)}
    pairs = compare_models({"sums": by_model, "other": {"weak": by_model["weak"]}}, seed=3)
    assert [(p.benchmark, p.first, p.second) for p in pairs] == [
        ("sums", "weak", "strong"),
        ("sums", "weak", "again"),
        ("sums", "strong", "again"),
    ]
    first = pairs[0]
    one, other = [weak[n] / 4 for n in weak], [strong[n] / 4 for n in weak]
    assert first.difference == pytest.approx(np.mean(other) - np.mean(one))
    assert first.problems == 40 and first.significant and first.p < 0.01
    assert first.interval == pytest.approx(paired_difference(one, other, seed=0).interval, abs=0.02)
    assert pairs[1].difference == 0 and not pairs[1].significant and pairs[1].p == 1
    assert pairs[2].difference == pytest.approx(-first.difference) and pairs[2].significant


def test_few_problems_are_never_significant() -> None:
    for count in (1, 2, 4):
        names = [str(i) for i in range(count)]
        by_model = {"a": scores("a", dict.fromkeys(names, 0)), "b": scores("b", dict.fromkeys(names, 4))}
        (pair,) = compare_models({"sums": by_model})
        assert pair.difference == 1 and not pair.significant


def test_only_shared_problems_count() -> None:
    by_model = {"a": scores("a", {"x": 1, "y": 2}), "b": scores("b", {"y": 4, "z": 0}), "c": scores("c", {"q": 1})}
    (pair,) = compare_models({"sums": by_model})
    assert (pair.first, pair.second, pair.problems, pair.difference) == ("a", "b", 1, 0.5)


@pytest.mark.parametrize(
    ("one", "other", "paired"), [("x", "x", True), ("x", "y", False), ("x", None, True), (None, None, True)]
)
def test_other_problems_of_the_same_names_are_not_compared(one: str | None, other: str | None, paired: bool) -> None:
    """Files of an older ponder do not say what was asked."""
    found = {}
    for model, digest in (("a", one), ("b", other)):
        scored = scores(model, {"p": 1, "q": 3})
        known = {} if digest is None else {"problems_sha256": digest}
        found[model] = replace(scored, provenance={"model": model, **known})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pairs = compare_models({"sums": found})
    assert (len(pairs), len(said)) == ((1, 0) if paired else (0, 1))
    assert paired or "'a' and 'b' are not compared on 'sums'" in str(said[0].message)


def test_the_file(tmp_path: Path) -> None:
    assert read_paired(tmp_path) == []
    pairs = compare_models({"sums": {"a": scores("a", {"x": 1, "y": 2}), "b": scores("b", {"x": 4, "y": 0})}})
    write_paired(tmp_path, pairs)
    assert read_paired(tmp_path) == pairs
    path = tmp_path / "evaluation" / "paired.json"
    path.write_text(json.dumps([{"benchmark": "sums"}]))
    with pytest.raises(RunFolderError, match="expected comparisons of models"):
        read_paired(tmp_path)
