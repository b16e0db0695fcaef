"""Questions of the embedded world as problems."""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from random import Random

from ponder.errors import RecipeError
from ponder.micro import GENERAL, LEARNT, TASK_NAMES, TASKS, TOOL_TASKS
from ponder.micro.general import GeneralQuestion
from ponder.micro.question import Question, Split
from ponder.records import Language, Message, Problem

__all__ = ["check_tasks", "draw", "draw_general", "generate", "questions"]

_MAX_TRIES = 3000
"""Draws in a row without a new question before a task counts as exhausted."""


def draw(rng: Random, task: str, language: Language, split: Split) -> Question:
    """One question of reasoning of a split."""
    make = {**TASKS, **LEARNT, **TOOL_TASKS}[task]
    while True:
        question = make(rng, language)
        if question.split == split:
            return question


def draw_general(rng: Random, task: str, language: Language, split: Split) -> GeneralQuestion:
    """One general question of a split."""
    while True:
        question = GENERAL[task](rng, language)
        if question.split == split:
            return question


def check_tasks(tasks: Sequence[str], known: Iterable[str] = TASK_NAMES) -> None:
    """RecipeError for a task that is not among those of the world, or those of the kind that is asked for."""
    for task in tasks:
        if task not in known:
            near = get_close_matches(task, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"unknown micro task {task!r}: there are {', '.join(known)}{hint}")


def questions(
    tasks: Sequence[str], languages: Sequence[Language], count: int, split: Split, seed: int
) -> Iterator[Question | GeneralQuestion]:
    """`count` questions with different prompts, tasks and languages in equal parts and in turn.

    Raises RecipeError for an unknown task and when a task has fewer different questions than asked for.
    """
    check_tasks(tasks)
    rng = Random(f"micro {split} {seed}")
    seen: set[str] = set()
    pairs = [(task, language) for task in tasks for language in languages]
    for number in range(count):
        task, language = pairs[number % len(pairs)]
        for _ in range(_MAX_TRIES):
            question = (draw_general if task in GENERAL else draw)(rng, task, language, split)
            if question.prompt not in seen:
                break
        else:
            raise RecipeError(f"task {task!r} ran out of different {split} problems at {number} of {count}")
        seen.add(question.prompt)
        yield question


def generate(
    tasks: Sequence[str], languages: Sequence[Language], count: int, split: Split, seed: int
) -> tuple[Problem, ...]:
    """The problems of `questions`."""
    return tuple(
        Problem(
            id=f"micro/{split}/{seed}/{number}",
            messages=(Message(role="user", content=question.prompt),),
            gold=question.gold,
            domain=question.task,
            language=question.language,
            difficulty=question.difficulty,
            route=question.route,
        )
        for number, question in enumerate(questions(tasks, languages, count, split, seed))
    )
