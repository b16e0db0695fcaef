"""Canaries earn nothing on real problems, and are heard when something pays them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import LearningError, RecipeError
from ponder.recipe.problems import FileProblems, GymProblems, MicroProblems, ProblemSource
from ponder.records import ChoiceGold, CodeGold, Gold, InstructionGold, MathGold, Message, Problem, RepositoryGold
from ponder.reward.canaries import canaries, check_canaries
from ponder.task import load_problems
from ponder.text import TEMPLATES
from ponder.verify.pool import VerifierPool

DATA = Path(__file__).parents[2] / "../shared/data"
WEIGHTS = {"accuracy": 1.0, "format": 1.0, "language": 1.0}
PLAIN = {"accuracy": 1.0, "language": 1.0}
templates = pytest.mark.parametrize("template", TEMPLATES.values(), ids=list(TEMPLATES))


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=2) as one:
        yield one


def problem(question: str, gold: Gold | None) -> Problem:
    return Problem(id="p/1", messages=(Message(role="user", content=question),), gold=gold, domain="d")


@templates
@pytest.mark.parametrize(
    "source",
    [
        MicroProblems(count=24),
        GymProblems(task="chain_sum", count=10),
        GymProblems(task="countdown", count=10),
        GymProblems(task="knights_knaves", count=10),
        GymProblems(task="syllogism", count=10),
    ],
    ids=lambda source: source.source,
)
def test_generated_problems(pool: VerifierPool, template: Any, source: ProblemSource) -> None:
    check_canaries(template, load_problems([source]).problems, WEIGHTS if template.thinking else PLAIN, pool, sample=24)


@templates
@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout")
@pytest.mark.parametrize(
    "fields",
    [
        {"path": "gsm8k/test.jsonl", "columns": {"prompt": "question"}, "answer_after": "####"},
        {"path": "math500/test.jsonl", "columns": {"prompt": "problem"}},
        {"path": "mgsm/cmath.jsonl", "columns": {"prompt": "question", "answer": "golden"}, "language": "zh"},
        {"path": "countdown/test_with_solver_answers.jsonl", "gold": "expression"},
    ],
    ids=lambda fields: fields["path"],
)
def test_real_problems(pool: VerifierPool, template: Any, fields: dict[str, Any]) -> None:
    source = FileProblems.model_validate({**fields, "path": str(DATA / fields["path"]), "limit": 20})
    check_canaries(template, load_problems([source]).problems, WEIGHTS if template.thinking else PLAIN, pool, sample=20)


@templates
@pytest.mark.parametrize(
    "gold",
    [
        ChoiceGold(answer="B", options=("x", "y", "z")),
        ChoiceGold(answer="A"),
        CodeGold(tests=("assert f() == 1",)),
        MathGold(answer="\\frac{1}{2}"),
        None,
    ],
)
def test_other_golds(pool: VerifierPool, template: Any, gold: Gold | None) -> None:
    check_canaries(
        template,
        [problem("Which of these, or what, is it?\n\nA. x\nB. y\nC. z", gold)],
        WEIGHTS if template.thinking else PLAIN,
        pool,
    )


LURE = problem("Which?", MathGold(answer="A or B or C or D"))


@pytest.mark.parametrize("template", [TEMPLATES["r1-zero"], TEMPLATES["r1"]])
@pytest.mark.parametrize("reward", ["accuracy", "format"])
def test_a_canary_that_is_paid_is_heard(pool: VerifierPool, template: Any, reward: str) -> None:
    with pytest.raises(LearningError, match=f"'all options' earns 1 of the reward '{reward}' on problem 'p/1'"):
        check_canaries(template, [LURE], {reward: 0.5, "language": 1.0}, pool)
    check_canaries(template, [LURE], {"language": 1.0, reward: 0.0}, pool)


@templates
def test_a_question_that_holds_its_answer_pays_no_copy(pool: VerifierPool, template: Any) -> None:
    check_canaries(
        template,
        [problem("Simplify $\\sqrt{4}$.", MathGold(answer="2"))],
        WEIGHTS if template.thinking else PLAIN,
        pool,
    )
    check_canaries(
        template,
        [problem("What is 5 + 0, if 0 is added to 5", MathGold(answer="5"))],
        WEIGHTS if template.thinking else PLAIN,
        pool,
    )


def test_the_sample_is_spread_evenly(pool: VerifierPool) -> None:
    fine = [problem(f"What is {i} plus {i}, in words?", MathGold(answer=str(-i - 1))) for i in range(40)]
    bad = [*fine[:30], LURE, *fine[30:]]
    check_canaries(TEMPLATES["r1-zero"], fine, WEIGHTS, pool, sample=8)
    with pytest.raises(LearningError):
        check_canaries(TEMPLATES["r1-zero"], bad, WEIGHTS, pool, sample=len(bad))
    check_canaries(TEMPLATES["r1-zero"], [], WEIGHTS, pool)


def test_instructions_are_not_asked_about_texts_that_may_follow_them() -> None:
    gold = InstructionGold(instruction_ids=("punctuation:no_comma",), arguments=({},))
    names = {name for name, _ in canaries(TEMPLATES["r1"], problem("Write without commas.", gold))}
    assert "empty" in names and "copied prompt" not in names


def test_unknown_reward(pool: VerifierPool) -> None:
    with pytest.raises(RecipeError, match="did you mean 'format'"):
        check_canaries(TEMPLATES["r1"], [], {"formatt": 1.0}, pool)


def test_no_reward_for_a_format_that_is_none(pool: VerifierPool) -> None:
    with pytest.raises(LearningError, match=r"'plain' has no tags.*accuracy: 1"):
        check_canaries(TEMPLATES["plain"], [], WEIGHTS, pool)


@pytest.mark.parametrize(
    ("tests", "answer", "words"),
    [
        ("assert area(2) == 4", "return 4", None),
        ("assert area(2) == 4", "return 5", "known answer of problem 'p/1' is not right"),
        ("assert area(2) == 2", "return 2 * 1", "patch that mends nothing"),
    ],
)
def test_patches_are_tried_before_they_are_learnt_from(
    pool: VerifierPool, tests: str, answer: str, words: str | None
) -> None:
    gold = RepositoryGold(
        files={"shape.py": "def area(side):\n    return 2\n"},
        tests={"t.py": f"from shape import area\ndef test_area():\n    {tests}\n"},
        answer=f"shape.py\n<<<<<<< SEARCH\n    return 2\n=======\n    {answer}\n>>>>>>> REPLACE\n",
        seconds=10,
    )
    if words is None:
        check_canaries(TEMPLATES["r1"], [problem("Mend it.", gold)], WEIGHTS, pool)
    else:
        with pytest.raises(LearningError, match=words):
            check_canaries(TEMPLATES["r1"], [problem("Mend it.", gold)], WEIGHTS, pool)
