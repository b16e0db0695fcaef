"""Ordering logic: who is tallest, shortest or second, from shuffled comparisons of neighbours."""

from itertools import pairwise
from random import Random

from ponder.micro.question import Question, Slip, Working
from ponder.records import Language, MathGold

__all__ = ["PEOPLE", "make"]

PEOPLE = "甲乙丙丁戊己庚辛壬癸"
"""How Chinese puzzles call people; each is one token."""

_NAMES = {
    "en": ("Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal", "Ivy", "Jon"),
    "zh": tuple(PEOPLE),
}
_ASKED = {
    "en": {"first": "Who is tallest?", "last": "Who is shortest?", "second": "Who is second tallest?"},
    "zh": {"first": "谁最高？", "last": "谁最矮？", "second": "谁第二高？"},
}


def make(rng: Random, language: Language) -> Question:
    """Difficulty is the number of people minus two (1 to 3)."""
    difficulty = rng.randint(1, 3)
    people = rng.sample(range(10), difficulty + 2)
    names = [_NAMES[language][i] for i in people]
    clues = []
    for tall, short in pairwise(names):
        if language == "en":
            clues.append(
                f"{tall} is taller than {short}." if rng.random() < 0.7 else f"{short} is shorter than {tall}."
            )
        else:
            clues.append(f"{tall}比{short}高。" if rng.random() < 0.7 else f"{short}比{tall}矮。")
    rng.shuffle(clues)
    asked = rng.choice(("first", "last", "second"))
    position = {"first": 0, "last": -1, "second": 1}[asked]
    prompt = (" " if language == "en" else "").join([*clues, _ASKED[language][asked]])

    def work(rng: Random) -> Working:
        pairs = [f"{tall}>{short}" for tall, short in pairwise(names)]
        chain = ">".join(names)
        swapped = list(names)
        i = rng.randrange(len(names) - 1)
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        slip = Slip(
            at=len(pairs),
            lines=(*pairs, ">".join(swapped)),
            answer=swapped[position],
            check=(f"{swapped[i + 1]}>{swapped[i]}",),
        )
        return Working(lines=(*pairs, chain), answer=names[position], check=(*reversed(pairs), chain), slip=slip)

    return Question(
        task="ordering",
        key=f"{people} {asked}",
        language=language,
        difficulty=difficulty,
        prompt=prompt,
        gold=MathGold(answer=names[position]),
        answer=names[position],
        work=work,
        guess=lambda rng: rng.choice(names),
    )
