"""Questions of the embedded world as problems."""

from collections.abc import Sequence
from difflib import get_close_matches
from random import Random

from ponder.errors import RecipeError
from ponder.micro import TASKS
from ponder.micro.question import Question, Split
from ponder.records import Language, Message, Problem

__all__ = ["draw", "generate"]

_MAX_TRIES = 3000
"""Draws in a row without a new question before a task counts as exhausted."""


def draw(rng: Random, task: str, language: Language, split: Split) -> Question:
    """One question of a split."""
    while True:
        question = TASKS[task](rng, language)
        if question.split == split:
            return question


def generate(
    tasks: Sequence[str], languages: Sequence[Language], count: int, split: Split, seed: int
) -> tuple[Problem, ...]:
    """`count` different problems, tasks and languages in equal parts and in turn.

    Raises RecipeError for an unknown task and when a task has fewer different questions than asked for.
    """
    for task in tasks:
        if task not in TASKS:
            near = get_close_matches(task, TASKS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RecipeError(f"unknown micro task {task!r}: there are {', '.join(TASKS)}{hint}")
    rng = Random(f"micro {split} {seed}")
    seen: set[str] = set()
    problems: list[Problem] = []
    pairs = [(task, language) for task in tasks for language in languages]
    while len(problems) < count:
        task, language = pairs[len(problems) % len(pairs)]
        for _ in range(_MAX_TRIES):
            question = draw(rng, task, language, split)
            if question.prompt not in seen:
                break
        else:
            raise RecipeError(f"task {task!r} ran out of different {split} problems at {len(problems)} of {count}")
        seen.add(question.prompt)
        problems.append(
            Problem(
                id=f"micro/{split}/{seed}/{len(problems)}",
                messages=(Message(role="user", content=question.prompt),),
                gold=question.gold,
                domain=task,
                language=language,
                difficulty=question.difficulty,
            )
        )
    return tuple(problems)
