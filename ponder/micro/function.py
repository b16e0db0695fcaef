"""Tiny Python functions from examples: find f from its values, and write it down."""

from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working, near_miss
from ponder.records import CodeGold, Language

__all__ = ["make"]


def _term(text: str, number: int) -> str:
    if number == 0:
        return text
    return f"{text}+{number}" if number > 0 else f"{text}-{-number}"


def _program(body: str) -> str:
    return f"def f(x):\n    return {body}"


def make(rng: Random, language: Language) -> Question:
    """Difficulty 1 is x+b, 2 is a*x+b, 3 is x*x+b; examples are f(1), f(2) and f(5), and more values are tested."""
    difficulty = rng.randint(1, 3)
    a, b = 1, rng.randint(-9, LARGEST - 5)
    if difficulty == 2:
        a, b = rng.randint(2, 12), rng.randint(-9, 39)
    if difficulty == 3:
        b = rng.randint(-9, LARGEST - 25)
    shape = ("x", f"{a}*x", "x*x")[difficulty - 1]

    def f(x: int) -> int:
        return (x * x if difficulty == 3 else a * x) + b

    while f(1) < 0:
        b += 9
    body = _term(shape, b)
    y1, y2, y5 = f(1), f(2), f(5)
    examples = f"f(1)={y1}, f(2)={y2}, f(5)={y5}"
    prompt = (
        f"Write a Python function f with {examples}."
        if language == "en"
        else f"写一个Python函数f，使得{examples.replace(', ', '，')}。"
    )

    product = 25 if difficulty == 3 else 5 * a
    start = "5*5" if difficulty == 3 else f"{a}*5"

    def work(rng: Random) -> Working:
        lines = [f"{y2}-{y1}={y2 - y1}", f"{y5}-{y2}={y5 - y2}"]
        if difficulty == 3:
            lines += ["1*1=1", f"{y1}-1={b}"] if b >= 0 else ["1*1=1", f"1-{y1}={-b}"]
        else:
            lines += [f"{a}*1={a}", f"{y1}-{a}={b}" if b >= 0 else f"{a}-{y1}={-b}"]
        wrong = near_miss(rng, abs(b))
        wrong = wrong if b >= 0 else -wrong
        slip = Slip(
            at=len(lines) - 1,
            lines=(*lines[:-1], f"{lines[-1].split('=')[0]}={abs(wrong)}"),
            answer=_program(_term(shape, wrong)),
            check=(f"{start}={product}", f"{_term(str(product), wrong)}={product + wrong}"),
        )
        check = (f"{start}={product}", f"{_term(str(product), b)}={y5}")
        return Working(lines=tuple(lines), answer=_program(body), check=check, slip=slip)

    def guess(rng: Random) -> str:
        form = rng.choice(("x", f"{rng.randint(2, 9)}*x", "x*x"))
        return _program(_term(form, rng.choice((b, y1, y2 - y1, rng.randint(1, 20)))))

    return Question(
        task="function",
        key=body,
        language=language,
        difficulty=difficulty,
        prompt=prompt,
        gold=CodeGold(
            tests=tuple(f"assert f({x}) == {f(x)}" for x in (1, 2, 5, 7, 10)), entry_point="f", answer=_program(body)
        ),
        answer=_program(body),
        work=work,
        guess=guess,
    )
