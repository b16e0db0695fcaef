"""Problems of the reasoning-gym library, by the name of the task.

Only tasks whose answer is one number, word or list that our verifiers judge as the library would, or that map onto one
of our other golds (countdown, 24, knights and knaves), are taken. Tasks with many right answers (mazes to draw, proofs,
boards), rounded answers or answers that the question itself states are not: the library's own scorers read the
model's text without limits, so they are not called.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from ponder.errors import DataError
from ponder.recipe.problems import GymProblems
from ponder.records import AssignmentGold, ExpressionGold, Gold, MathGold, Message, Problem
from ponder.task.fault import Candidate, RowFault, known_names
from ponder.verify import check_gold, verify

__all__ = ["GYM_TASKS", "check_gym", "gym_problems"]

Entry = Mapping[str, Any]


def _answer(entry: Entry) -> Gold:
    answer = entry["answer"]
    if not isinstance(answer, str) or not answer.strip():
        raise RowFault(f"the task gives no answer of its own, only {answer!r}")
    return MathGold(answer=answer.strip())


def _countdown(entry: Entry) -> Gold:
    metadata = entry["metadata"]
    return ExpressionGold(numbers=tuple(int(n) for n in metadata["numbers"]), target=int(metadata["target"]))


def _puzzle24(entry: Entry) -> Gold:
    return ExpressionGold(numbers=tuple(int(n) for n in entry["metadata"]["numbers"]), target=24)


def _knights(entry: Entry) -> Gold:
    metadata = entry["metadata"]
    terms = metadata["knight_knave_terms"]
    names = [str(name) for name in metadata["names"]]
    values = {
        name: str(terms["knight"] if honest else terms["knave"])
        for name, honest in zip(names, metadata["solution"], strict=True)
    }
    return AssignmentGold(values=values)


_ONE_ANSWER = (
    "acre", "aiw", "basic_arithmetic", "binary_alternation", "caesar_cipher", "calendar_arithmetic", "chain_sum",
    "color_cube_rotation", "count_bits", "count_primes", "course_schedule", "decimal_chain_sum",
    "dice", "family_relationships", "game_of_life_halting", "gcd", "gsm_symbolic",
    "isomorphic_strings", "largest_island", "lcm", "leg_counting", "letter_counting", "mahjong_puzzle", "maze",
    "needle_haystack", "number_sequence", "products", "ransom_note", "rectangle_count", "rotten_oranges",
    "self_reference", "simple_equations", "simple_geometry", "spell_backward", "syllogism", "zebra_puzzles",
)  # fmt: skip
GYM_TASKS: Mapping[str, Callable[[Entry], Gold]] = {
    **dict.fromkeys(_ONE_ANSWER, _answer),
    "countdown": _countdown,
    "puzzle24": _puzzle24,
    "knights_knaves": _knights,
}
"""The tasks that can be used, and how an entry's gold is read."""


def check_gym() -> None:
    """DataError if `reasoning_gym` is not installed."""
    if find_spec("reasoning_gym") is None:
        raise DataError(
            "Problems with `source: gym` need the library reasoning-gym, which is not installed here. Install it with "
            "`pip install 'ponder[gym]'`, which needs a C compiler for one of its own dependencies, or take another "
            "source of problems."
        )


def gym_problems(source: GymProblems, name: str) -> list[Candidate]:
    """`count` entries of the task, numbered from 1. DataError for a task that is unknown or cannot be used, or
    where the library is not installed."""
    if source.task not in GYM_TASKS:
        raise DataError(
            f"The reasoning-gym task {source.task!r} does not exist or has answers that only its own scorer can judge. "
            f"{known_names(source.task, GYM_TASKS)}."
        )
    check_gym()
    import reasoning_gym

    entries = reasoning_gym.create_dataset(source.task, size=source.count, seed=source.seed)
    return [(number, _problem(number, entries[number - 1], source, name)) for number in range(1, source.count + 1)]


def _problem(number: int, entry: Entry, source: GymProblems, name: str) -> Problem | str:
    question = str(entry["question"]).strip()
    try:
        gold = GYM_TASKS[source.task](entry)
    except RowFault as fault:
        return str(fault)
    reason = check_gold(gold)
    if reason is not None:
        return reason
    if any(verify(text, gold).outcome == "right" for text in (question, f"<answer>{question}</answer>")):
        return "the question read as an answer is right, so that copying it would be paid"
    return Problem(
        id=f"{name}/{source.seed}/{number}",
        messages=(Message(role="user", content=question),),
        gold=gold,
        domain=source.domain or source.task,
    )
