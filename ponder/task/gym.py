"""Problems of the reasoning-gym library, by the name of the task.

Only tasks whose answer is one number, word or list that our verifiers judge as the library would, or that map onto one
of our other golds (countdown, 24, knights and knaves), are taken. Tasks with many right answers (mazes to draw, proofs,
boards), rounded answers or answers that the question itself states are not: the library's own scorers read the
model's text without limits, so they are not called.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from ponder.errors import DataError
from ponder.recipe.problems import GymProblems
from ponder.records import AssignmentGold, ExpressionGold, Gold, MathGold, Message, Problem
from ponder.task.fault import Candidate, RowFault, known_names
from ponder.verify import check_gold, verify

if TYPE_CHECKING:
    from reasoning_gym.dataset import ProceduralDataset

__all__ = ["GYM_TASKS", "check_gym", "check_settings", "gym_problems"]

Entry = Mapping[str, Any]
_TEST_BUCKETS = 8
"""One question in so many belongs to the test split."""
_STRIDE = 2**23
"""Draws between two seeds: more than the most that one source makes, and seeds below 2**32, as some tasks need."""


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


def check_settings(source: GymProblems) -> None:
    """DataError for settings that the task does not have or cannot take."""
    _dataset(source, 1)


def gym_problems(source: GymProblems, name: str) -> list[Candidate]:
    """The first `count` entries of the split, numbered by their draw. DataError for a task that is unknown or cannot be
    used, that has too few questions in the split, or where the library is not installed."""
    if source.task not in GYM_TASKS:
        raise DataError(
            f"The reasoning-gym task {source.task!r} does not exist or has answers that only its own scorer can judge. "
            f"{known_names(source.task, GYM_TASKS)}."
        )
    check_gym()
    found = [(number, _problem(number, entry, source, name)) for number, entry in islice(_drawn(source), source.count)]
    if len(found) < source.count:
        raise DataError(
            f"The reasoning-gym task {source.task!r} gave {len(found)} of {source.count} problems for the split "
            f"{source.split!r} in {_draws(source):,} draws: it has few different questions. Lower `count`, or take "
            f"another task."
        )
    return found


def _drawn(source: GymProblems) -> Iterator[tuple[int, Entry]]:
    """Entries of the split with the number of their draw, from 1. The library draws entry i of seed s by s + i."""
    draws = _draws(source)
    entries = _dataset(source, draws)
    for number in range(1, draws + 1):
        entry = entries[number - 1]
        if _split_of(source.task, str(entry["question"])) == source.split:
            yield number, entry


def _dataset(source: GymProblems, size: int) -> "ProceduralDataset":
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    known = sorted({one.name for one in fields(DATASETS[source.task][1])} - {"size", "seed"})
    if unknown := sorted(source.settings.keys() - set(known)):
        raise DataError(
            f"The reasoning-gym task {source.task!r} has no setting {unknown[0]!r}. {known_names(unknown[0], known)}."
        )
    try:
        made = reasoning_gym.create_dataset(source.task, size=size, seed=source.seed * _STRIDE, **source.settings)
        made[0]
    except Exception as error:  # of the library's own checks, which are assertions and whatever a wrong type leads to
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DataError(
            f"The reasoning-gym task {source.task!r} cannot be made with the settings {source.settings}: {said}. "
            f"Correct `settings`; the task has {', '.join(known)}."
        ) from error
    return made


def _draws(source: GymProblems) -> int:
    """How often to draw at most: as many as the split surely needs, unless the task repeats itself."""
    return min(_STRIDE, 64 + source.count * (2 if source.split == "train" else 2 * _TEST_BUCKETS))


def _split_of(task: str, question: str) -> str:
    digest = sha256(f"{task} {' '.join(question.split())}".encode()).digest()
    return "test" if int.from_bytes(digest[:4], "big") % _TEST_BUCKETS == 0 else "train"


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
        id=f"{name}/{source.split}/{source.seed}/{number}",
        messages=(Message(role="user", content=question + source.prompt_suffix),),
        gold=gold,
        domain=source.domain or source.task,
    )
