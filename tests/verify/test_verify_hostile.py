"""A thousand hostile completions: none hangs, crashes, or is paid. Also: the package is light to import."""

import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path

import pytest

from ponder.maths.reader import read
from ponder.maths.tree import TooLarge, Unreadable
from ponder.records import (
    AssignmentGold,
    ChoiceGold,
    ExpressionGold,
    Gold,
    InstructionGold,
    MathGold,
    RuleGold,
    SafetyGold,
)
from ponder.verify import verify

ROWS = [json.loads(line) for line in (Path(__file__).parent / "cases" / "hostile.jsonl").read_text().splitlines()]
GOLDS: tuple[Gold, ...] = (
    MathGold(answer="42"),
    MathGold(answer=r"\{1\pm\sqrt5,-2\}"),
    MathGold(answer="x^2+1"),
    MathGold(answer=r"(0,9)\cup(9,36)"),
    MathGold(answer="Evelyn"),
    ExpressionGold(numbers=(1, 2, 3), target=7),
    ChoiceGold(answer="J", options=()),
    AssignmentGold(values={"Eve": "knight", "Bob": "knave"}),
    InstructionGold(instruction_ids=("keywords:existence",), arguments=({"keywords": ["elephant"]},)),
    RuleGold(answer="an elephant", groups=(("elephant",),), max_words=9),
    SafetyGold(unsafe=True, rule=RuleGold(answer="I cannot help.", language="en", max_words=30)),
)


@pytest.mark.timeout(120)
def test_a_thousand_hostile_completions() -> None:
    assert len(ROWS) == 1_000
    golds = cycle(GOLDS)
    for row in ROWS:
        completion = row["before"] + row["body"] * row["times"] + row["after"]
        for text in (completion, f"\\boxed{{{completion}}}"):
            gold = next(golds)
            assert verify(text, gold).outcome in ("wrong", "cannot_tell"), (text[:100], gold)
            next(golds)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["9^{9^{9^{9}}}", "9**9**9**9", "100000!", "((5!)!)!", "10^{10^{10}}", r"\binom{999999}{9}", "1e999999999",
     "2^{-10^{9}}", r"\sum_{k=1}^{10^{9}} k", r"\sum_{i=1}^{99}\sum_{j=1}^{99} ij", r"\sin(10^{100000})",
     "e^{e^{e^{9}}}", "(" * 60 + "1" + ")" * 60, "1+" * 500 + "1", "9" * 1_001, "1" * 5_000, r"\sqrt{2}^{10^{9}}",
     r"\pi^{10^{20}}"],
)  # fmt: skip
def test_what_is_too_large_is_never_computed(text: str) -> None:
    verdict = verify(f"\\boxed{{{text}}}", MathGold(answer="42"))
    assert verdict.outcome == "cannot_tell" or "more than" in verdict.reason


def test_deep_trees_do_not_exhaust_the_stack() -> None:
    for text in ("-" * 390 + "1", "1" + "-1" * 190, "!" * 5, "x^" * 38 + "x", "[" * 39 + "1" + "]" * 39):
        try:
            read(text)
        except (Unreadable, TooLarge):
            continue


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, ponder.verify\n"
        "from ponder.records import MathGold\n"
        "ponder.verify.verify('The answer is 1/2', MathGold(answer='0.5'))\n"
        "print([m for m in ('sympy', 'mpmath', 'math_verify', 'torch', 'antlr4') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
