"""Linear equations in one unknown with a whole, positive solution."""

from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working
from ponder.records import Language, MathGold

__all__ = ["make"]


def _plus(text: str, number: int) -> str:
    return f"{text}+{number}" if number >= 0 else f"{text}-{-number}"


def _fits(sums: list[tuple[str, int]]) -> bool:
    return all(0 <= value <= LARGEST for _, value in sums)


def make(rng: Random, language: Language) -> Question:
    """Difficulty 1 is ax+b=c, 2 is a(x+b)=c, 3 is ax+b=cx+d; the solution lies within 1 to 15."""
    difficulty = rng.randint(1, 3)
    while True:
        x, a = rng.randint(1, 15), rng.randint(2, 9)
        b = rng.choice((-1, 1)) * rng.randint(1, 20) if difficulty < 3 else rng.randint(1, 20)
        c = rng.randint(1, a - 1)
        d = (a - c) * x + b
        right = a * (x + b) if difficulty == 2 else a * x + b
        if 0 < right <= LARGEST and a * x <= LARGEST and x + b >= 0 and d <= LARGEST:
            break
    equation = (
        f"{_plus(f'{a}x', b)}={right}",
        f"{a}({_plus('x', b)})={right}",
        f"{a}x+{b}={_plus(f'{c}x', d)}",
    )[difficulty - 1]

    def substituted(value: int) -> list[tuple[str, int]]:
        """The two sides with a value for x, sum by sum."""
        product = a * value
        if difficulty == 1:
            return [(f"{a}*{value}", product), (_plus(str(product), b), product + b)]
        if difficulty == 2:
            return [(_plus(str(value), b), value + b), (f"{a}*{value + b}", a * (value + b))]
        left, other = (f"{product}+{b}", product + b), c * value
        return [(f"{a}*{value}", product), left, (f"{c}*{value}", other), (f"{other}+{d}", other + d)]

    def work(rng: Random) -> Working:
        if difficulty == 1:
            moved = right - b
            sums = [(f"{right}-{b}" if b > 0 else f"{right}+{-b}", moved), (f"{moved}/{a}", x)]
        elif difficulty == 2:
            inner = right // a
            sums = [(f"{right}/{a}", inner), (f"{inner}-{b}" if b > 0 else f"{inner}+{-b}", x)]
        else:
            sums = [(f"{a}-{c}", a - c), (f"{d}-{b}", d - b), (f"{d - b}/{a - c}", x)]
        lines = tuple(f"{s}={v}" for s, v in sums)
        wrong = rng.choice([y for y in (x - 2, x - 1, x + 1, x + 2) if y > 0 and _fits(substituted(y))] or [x + 1])
        slip = Slip(
            at=len(sums) - 1,
            lines=(*lines[:-1], f"{sums[-1][0]}={wrong}"),
            answer=str(wrong),
            check=tuple(f"{s}={v}" for s, v in substituted(wrong)),
        )
        check = tuple(f"{s}={v}" for s, v in substituted(x))
        return Working(lines=lines, answer=str(x), check=check, slip=slip)

    return Question(
        task="equation",
        key=equation,
        language=language,
        difficulty=difficulty,
        prompt=f"Solve {equation} for x." if language == "en" else f"解方程{equation}，求x。",
        gold=MathGold(answer=str(x)),
        answer=str(x),
        work=work,
        guess=lambda rng: str(rng.randint(1, 15)),
    )
