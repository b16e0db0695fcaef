"""Recorded outputs of real models, scored as an evaluation would: the published accuracies come out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.evaluation.benchmark import find_benchmark
from ponder.evaluation.paired import compare_models
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.scores import Scores, score
from ponder.records import MathGold, Message, Problem
from ponder.task import load_problems
from ponder.text import TEMPLATES
from ponder.verify import verify

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the public data sets do not stand beside the checkout")


def rows(name: str) -> Iterator[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def scored(pairs: list[tuple[Problem, str]]) -> Scores:
    """Each text as the one sample of its problem, in the form of R1's replies."""
    template = TEMPLATES["r1"]
    results = []
    for problem, text in pairs:
        answer = template.split(text).answer
        assert answer is not None and problem.gold is not None, problem.id
        sample = JudgedCompletion(
            text=text, tokens=len(text.split()), finish_reason="stop", seed=0, verdict=verify(answer, problem.gold)
        )
        results.append(ProblemResult(problem=problem, samples=(sample,)))
    return score(results, template, {"seed": 0}, seed=0)


@pytest.mark.timeout(120)
def test_gsm8k_example_solutions() -> None:
    environment = {"PONDER_BENCHMARK_GSM8K": str(DATA / "gsm8k/test.jsonl")}
    problems = load_problems(find_benchmark("gsm8k", environment).problems).problems
    recorded = list(rows("gsm8k/example_model_solutions.jsonl"))
    assert len(problems) == 1319
    found: dict[str, Scores] = {}
    labels: dict[str, list[bool]] = {}
    for model in ("6b_finetuning", "175b_verification"):
        texts = [f"so</think>{row[model]['solution']}" for row in recorded]
        found[model] = scored(list(zip(problems, texts, strict=True)))
        labels[model] = [row[model]["is_correct"] for row in recorded]
    assert [round(100 * one.overall.pass_at_1, 2) for one in found.values()] == [21.68, 56.25]
    assert all(one.invalid is None and one.overall.problems == 1319 for one in found.values())
    (pair,) = compare_models({"gsm8k": found})
    assert pair.difference == pytest.approx((sum(labels["175b_verification"]) - sum(labels["6b_finetuning"])) / 1319)
    low, high = pair.interval
    # The normal interval of a mean of paired differences.
    differences = [b - a for a, b in zip(labels["6b_finetuning"], labels["175b_verification"], strict=True)]
    spread = (sum((d - pair.difference) ** 2 for d in differences) / 1319) ** 0.5
    assert (high - low) / 2 == pytest.approx(1.96 * spread / 1319**0.5, rel=0.08)
    assert pair.significant and pair.p < 1e-50


@pytest.mark.parametrize(("name", "wrong"), [("mip_gsm8k", 25), ("mip_math", 2)])
def test_r1_traces(name: str, wrong: int) -> None:
    pairs = []
    for row in rows(f"r1_traces/{name}_deepseekR1.jsonl"):
        message = Message(role="user", content=row["question"])
        problem = Problem(id=str(row["id"]), messages=(message,), gold=MathGold(answer=str(row["gold"])), domain="math")
        if "</think>" in row["response"]:
            pairs.append((problem, row["response"]))
    scores = scored(pairs)
    assert round((1 - scores.overall.pass_at_1) * len(pairs)) == wrong
    assert scores.overall.language_consistency is not None and scores.overall.language_consistency > 0.99
    assert scores.overall.refused is not None and scores.overall.refused < 0.05
    assert scores.overall.reflection_per_1k_tokens > 5
