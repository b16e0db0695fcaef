"""Chained arithmetic: start with a number and change it two to four times."""

from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working, near_miss
from ponder.records import Language, MathGold

__all__ = ["make"]

_WORDS = {
    "en": {"+": "add {}", "-": "subtract {}", "*": "multiply by {}"},
    "zh": {"+": "加{}", "-": "减{}", "*": "乘以{}"},
}


def _apply(value: int, operator: str, operand: int) -> int:
    return {"+": value + operand, "-": value - operand, "*": value * operand}[operator]


def make(rng: Random, language: Language) -> Question:
    """Difficulty is the number of operations minus one (1 to 3); every value stays within 0 to LARGEST."""
    difficulty = rng.randint(1, 3)
    start = rng.randint(2, 30)
    steps: list[tuple[str, int]] = []
    value = start
    for _ in range(difficulty + 1):
        choices = "+-" if value > 12 or any(op == "*" for op, _ in steps) else "+-*"
        operator = rng.choice(choices) if value > 3 else "+"
        operand = rng.randint(2, 8) if operator == "*" else rng.randint(2, 40)
        if operator == "-":
            operand = min(operand, value)
        if _apply(value, operator, operand) > LARGEST:
            operator, operand = "-", rng.randint(2, min(40, value))
        steps.append((operator, operand))
        value = _apply(value, operator, operand)
    words = _WORDS[language]
    parts = [words[op].format(n) for op, n in steps]
    if language == "en":
        prompt = f"Start with {start}, {', '.join(parts)}. What is the result?"
    else:
        prompt = f"从{start}开始，{'，'.join(parts)}。结果是多少？"

    def run(slip_at: int | None, rng: Random) -> tuple[tuple[str, ...], str]:
        lines: list[str] = []
        current = start
        for i, (operator, operand) in enumerate(steps):
            result = _apply(current, operator, operand)
            if i == slip_at:
                result = near_miss(rng, result)
            result = max(0, min(result, LARGEST))
            lines.append(f"{current}{operator}{operand}={result}")
            current = result
        return tuple(lines), str(current)

    def work(rng: Random) -> Working:
        lines, answer = run(None, rng)
        at = rng.randrange(len(steps))
        wrong, wrong_answer = run(at, rng)
        slip = Slip(at=at, lines=wrong, answer=wrong_answer, check=lines[: at + 1])
        return Working(lines=lines, answer=answer, check=lines, slip=slip)

    def guess(rng: Random) -> str:
        return str(value) if rng.random() < 0.1 else str(near_miss(rng, value) if rng.random() < 0.5 else start)

    return Question(
        task="arithmetic",
        key=f"{start} {steps}",
        language=language,
        difficulty=difficulty,
        prompt=prompt,
        gold=MathGold(answer=str(value)),
        answer=str(value),
        work=work,
        guess=guess,
    )
