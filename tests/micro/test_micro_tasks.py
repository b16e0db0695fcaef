"""The embedded world's questions are right: golds, workings, slips, splits."""

import re
from random import Random
from typing import get_args

import pytest

from ponder.errors import RecipeError
from ponder.micro import TASKS
from ponder.micro.problems import generate
from ponder.micro.question import Question
from ponder.records import CodeGold, Language
from ponder.verify import check_gold, verify

_SUM = re.compile(r"^(\d+)([-+*/])(\d+)=(\d+)$")


def _questions(task: str, count: int = 150) -> list[Question]:
    rng = Random(f"test {task}")
    return [TASKS[task](rng, rng.choice(get_args(Language))) for _ in range(count)]


def _holds(line: str) -> bool:
    """Whether a sum is right; lines that are no sums hold."""
    match = _SUM.match(line)
    if not match:
        return True
    a, operator, b, result = int(match[1]), match[2], int(match[3]), int(match[4])
    if operator == "/":
        return b * result == a
    return {"+": a + b, "-": a - b, "*": a * b}[operator] == result


@pytest.mark.parametrize("task", [name for name in TASKS if name != "function"])
def test_answers_and_workings_are_judged_right(task: str) -> None:
    rng = Random(0)
    for question in _questions(task):
        assert check_gold(question.gold) is None
        assert verify(question.answer, question.gold).outcome == "right", question
        working = question.work(rng)
        assert verify(working.answer, question.gold).outcome == "right", (question, working)


def test_functions_pass_their_tests_and_wrong_ones_do_not() -> None:
    rng = Random(0)
    wrong = 0
    for question in _questions("function"):
        assert isinstance(question.gold, CodeGold)
        working = question.work(rng)
        assert _passes(question.answer, question.gold) and _passes(working.answer, question.gold)
        wrong += not _passes(working.slip.answer, question.gold)
    assert wrong == 150


def _passes(program: str, gold: CodeGold) -> bool:
    scope: dict[str, object] = {}
    exec(program, scope)
    try:
        for test in gold.tests:
            exec(test, scope)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("task", TASKS)
def test_every_line_of_a_working_holds_and_the_slip_is_wrong(task: str) -> None:
    rng = Random(1)
    for question in _questions(task):
        working = question.work(rng)
        assert all(map(_holds, (*working.lines, *working.check, *working.slip.check))), (question.prompt, working)
        slip = working.slip
        assert slip.lines[: slip.at] == working.lines[: slip.at]
        assert slip.lines[slip.at] != working.lines[slip.at]


@pytest.mark.parametrize("task", TASKS)
def test_a_guess_is_seldom_right(task: str) -> None:
    rng = Random(2)
    questions = _questions(task)
    right = sum(
        _passes(guess, q.gold) if isinstance(q.gold, CodeGold) else verify(guess, q.gold).outcome == "right"
        for q in questions
        for guess in [q.guess(rng)]
    )
    assert right / len(questions) < 0.5


def test_the_numbers_of_a_problem_fit_the_tokenizer() -> None:
    for task in TASKS:
        for question in _questions(task):
            assert all(int(number) <= 999 for number in re.findall(r"\d+", question.prompt))


def test_splits_share_no_question() -> None:
    tasks, languages = tuple(TASKS), get_args(Language)
    train = {p.prompt for p in generate(tasks, languages, 1200, "train", 0)}
    test = {p.prompt for p in generate(tasks, languages, 240, "test", 0)}
    assert len(train) == 1200 and len(test) == 240 and not train & test


def test_generation_depends_on_the_seed_alone() -> None:
    args = (("countdown", "ordering"), ("en", "zh"), 40, "train")
    assert generate(*args, 3) == generate(*args, 3)
    assert generate(*args, 3) != generate(*args, 4)


def test_tasks_and_languages_come_in_equal_parts() -> None:
    problems = generate(("arithmetic", "equation"), ("en", "zh"), 80, "train", 0)
    pairs = [(p.domain, p.language) for p in problems]
    assert {pairs.count(pair) for pair in pairs} == {20}


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'countdwn'.*did you mean 'countdown'"):
        generate(("countdwn",), ("en",), 1, "train", 0)


def test_asking_for_more_questions_than_there_are_fails() -> None:
    with pytest.raises(RecipeError, match="ran out"):
        generate(("function",), ("en",), 5000, "test", 0)
