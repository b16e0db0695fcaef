"""Real golds, labelled answers and traces: the verdicts agree with the labels."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ponder.records import ExpressionGold, InstructionGold, MathGold
from ponder.verify import check_gold, verify

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the public data sets do not stand beside the checkout")


def rows(name: str) -> Iterator[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def test_gsm8k_example_solutions_agree_with_their_labels() -> None:
    right: Counter[str] = Counter()
    agreeing = count = 0
    for row in rows("gsm8k/example_model_solutions.jsonl"):
        gold = MathGold(answer=row["ground_truth"].rpartition("A:")[2].strip())
        for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            is_right = verify(row[model]["solution"], gold).outcome == "right"
            right[model] += is_right
            agreeing += is_right == row[model]["is_correct"]
            count += 1
    assert (agreeing, count) == (5276, 5276)
    assert [round(100 * n / 1319, 2) for n in right.values()] == [21.68, 39.04, 34.72, 56.25]


def test_countdown_outputs_agree_with_their_labels() -> None:
    golds = {
        row["id"]: ExpressionGold(numbers=tuple(row["numbers"]), target=row["target"])
        for row in rows("countdown/test_with_solver_answers.jsonl")
    }
    for row in rows("countdown/test_with_solver_answers.jsonl"):
        assert verify(row["gold_expr"], golds[row["id"]]).outcome == "right"
    accuracies = []
    for model in ("base_0_6b", "base_8b", "sft_full", "sft_lora", "rft", "dpo", "grpo"):
        outputs = list(rows(f"countdown/labelled/{model}.jsonl"))
        judged = [verify(row["raw_generation"], golds[row["id"]]).outcome == "right" for row in outputs]
        assert judged == [row["correct"] for row in outputs], model
        accuracies.append(sum(judged) / len(judged))
    assert accuracies == [0, 0.246, 0.352, 0.384, 0.376, 0.372, 0.436]


GOLDS = {
    "gsm8k": lambda: [row["answer"].rpartition("####")[2].strip() for row in rows("gsm8k/test.jsonl")],
    "math500": lambda: [row["answer"] for row in rows("math500/test.jsonl")],
    "aime": lambda: [str(row["answer"]) for year in (24, 25) for row in rows(f"aime/aime{year}.jsonl")],
    "olymmath-en": lambda: [row["answer"] for row in rows("olymmath/OlymMATH-EN-EASY.jsonl")],
    "olymmath-zh": lambda: [row["answer"] for row in rows("olymmath/OlymMATH-ZH-EASY.jsonl")],
    "mgsm-zh": lambda: [row["answer"] for row in rows("mgsm/mgsm_zh.jsonl")],
    "cmath": lambda: [row["golden"] for row in rows("mgsm/cmath.jsonl")],
}


@pytest.mark.parametrize("name", GOLDS)
def test_every_gold_equals_itself_and_differs_from_others(name: str) -> None:
    golds = GOLDS[name]()
    draw = random.Random(1)
    for gold in golds:
        assert check_gold(MathGold(answer=gold)) is None, gold
        assert verify(f"\\boxed{{{gold}}}", MathGold(answer=gold)).outcome == "right", gold
        for other in draw.sample(golds, 20):
            verdict = verify(f"\\boxed{{{other}}}", MathGold(answer=gold))
            assert verdict.outcome != "cannot_tell", (gold, other, verdict)
            if verdict.outcome == "right":
                assert gold == other or _numbers(gold) & _numbers(other), (gold, other)


def _numbers(text: str) -> set[Fraction]:
    """The numbers that a gold may mean, read in a much simpler way than the verifier does."""
    text = re.sub(r"\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))", r"\1\2/\3\4", text)
    plain = re.sub(r"\\(?:mbox|text).*|\\\$|\^\\circ|^x=|,|%", "", text)
    try:
        return {Fraction(plain), Fraction(plain) / 100} if "%" in text else {Fraction(plain)}
    except ValueError:
        return set()


WRONG_BY_GOLD = {
    "mip_gsm8k": {11, 22, 29, 45, 54, 69, 71, 91, 104, 121, 123, 180, 243, 263, 265, 364, 407, 413, 439, 448, 459, 460,
                  472, 502, 546},
    "mip_math": {16, 40},
}  # fmt: skip
"""Traces whose answer differs from the gold; each was read, and in each the numbers really differ."""


@pytest.mark.parametrize("name", WRONG_BY_GOLD)
def test_r1_traces(name: str) -> None:
    outcomes = {
        row["id"]: verify(row["response"], MathGold(answer=str(row["gold"]))).outcome
        for row in rows(f"r1_traces/{name}_deepseekR1.jsonl")
    }
    assert {i for i, outcome in outcomes.items() if outcome == "wrong"} == WRONG_BY_GOLD[name]
    cannot_tell = {i for i, outcome in outcomes.items() if outcome == "cannot_tell"}
    assert cannot_tell <= {66}  # the text of a server error, not an answer
    assert len(cannot_tell) <= 0.01 * len(outcomes)


def test_ifeval_golds_are_usable_but_for_the_one_type_that_needs_a_model() -> None:
    reasons: Counter[str | None] = Counter()
    for row in rows("ifeval/input_data.jsonl"):
        gold = InstructionGold(instruction_ids=tuple(row["instruction_id_list"]), arguments=tuple(row["kwargs"]))
        reasons[check_gold(gold)] += 1
    assert reasons == {None: 510, "the constraint 'language:response_language' is unknown or needs a model": 31}
