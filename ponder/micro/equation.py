"""Linear equations in one unknown with a whole, positive solution."""

from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working, near_miss
from ponder.records import Language, MathGold

__all__ = ["make"]


def _plus(text: str, number: int) -> str:
    return f"{text}+{number}" if number >= 0 else f"{text}-{-number}"


def make(rng: Random, language: Language) -> Question:
    """Difficulty 1 is ax+b=c, 2 is a(x+b)=c, 3 is ax+b=cx+d; the solution lies within 1 to 15."""
    difficulty = rng.randint(1, 3)
    while True:
        x, a = rng.randint(1, 15), rng.randint(2, 9)
        b = rng.choice((-1, 1)) * rng.randint(1, 20) if difficulty < 3 else rng.randint(1, 20)
        c = rng.randint(1, a - 1)
        d = (a - c) * x + b
        right = a * (x + b) if difficulty == 2 else a * x + b
        if 0 < right <= LARGEST and a * x <= LARGEST and d <= LARGEST:
            break
    equation = (
        f"{_plus(f'{a}x', b)}={right}",
        f"{a}({_plus('x', b)})={right}",
        f"{a}x+{b}={_plus(f'{c}x', d)}",
    )[difficulty - 1]

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
        wrong = near_miss(rng, x)
        slip = Slip(at=len(sums) - 1, lines=(*lines[:-1], f"{sums[-1][0]}={wrong}"), answer=str(wrong))
        return Working(lines=lines, answer=str(x), check=check, slip=slip)

    if difficulty == 1:
        check = (f"{a}*{x}={a * x}", f"{_plus(str(a * x), b)}={right}")
    elif difficulty == 2:
        check = (f"{_plus(str(x), b)}={x + b}", f"{a}*{x + b}={right}")
    else:
        check = (f"{a}*{x}+{b}={a * x + b}", f"{c}*{x}+{d}={c * x + d}")
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
