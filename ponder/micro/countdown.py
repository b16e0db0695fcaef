"""Countdown: reach a target with three given numbers, each used once.

The working is a search backwards from the target: set one number aside with an operator, see what the other two would
have to make, and try them.
"""

from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working, near_miss
from ponder.records import ExpressionGold, Language

__all__ = ["make"]


def _pair(a: int, b: int, operator: str) -> tuple[str, int]:
    """`a op b` with the larger number first where order matters."""
    if operator == "-" and b > a:
        a, b = b, a
    return f"{a}{operator}{b}", {"+": a + b, "-": a - b, "*": a * b}[operator]


def _searches(numbers: tuple[int, ...], target: int) -> list[tuple[str, int, list[tuple[str, int]], str]]:
    """Every way to set one number aside: (line, needed, tries with the other two, frame for the expression)."""
    ways = []
    for i, aside in enumerate(numbers):
        a, b = (n for j, n in enumerate(numbers) if j != i)
        tries = [(text, value) for text, value in (_pair(a, b, op) for op in "+-*") if value <= LARGEST]
        if target > aside:
            ways.append((f"{target}-{aside}={target - aside}", target - aside, tries, "{}+" + str(aside)))
        if target + aside <= LARGEST:
            ways.append((f"{target}+{aside}={target + aside}", target + aside, tries, "{}-" + str(aside)))
        if target % aside == 0 and aside > 1:
            ways.append((f"{target}/{aside}={target // aside}", target // aside, tries, "({})*" + str(aside)))
    return ways


def _expression(frame: str, pair: str) -> str:
    """The pair put into its frame, without brackets a product does not need."""
    return frame.replace("({})", pair) if "(" in frame and "*" in pair else frame.format(pair)


def _check(frame: str, pair: str, value: int, target: int) -> tuple[str, ...]:
    """The expression worked out again from the inside."""
    last = frame.replace("({})", "{}").format(value)
    return f"{pair}={value}", f"{last}={target}"


def make(rng: Random, language: Language) -> Question:
    """Difficulty is 1 when sums and differences suffice and 2 when a product is needed."""
    while True:
        numbers = tuple(rng.sample(range(2, 20), 3))
        order = list(numbers)
        rng.shuffle(order)
        pair, value = _pair(order[0], order[1], rng.choice("+-*"))
        frame = rng.choice(("{}+" + str(order[2]), "{}-" + str(order[2]), "({})*" + str(order[2])))
        target = {"+": value + order[2], "-": value - order[2], "*": value * order[2]}[frame[-len(str(order[2])) - 1]]
        if 2 <= target <= LARGEST and 0 < value <= LARGEST and target not in numbers:
            break
    answer = _expression(frame, pair)
    ways = _searches(numbers, target)
    listing = ", ".join(map(str, numbers)) if language == "en" else "、".join(map(str, numbers))
    prompt = (
        f"Use {listing} once each with + - * to make {target}."
        if language == "en"
        else f"用{listing}各一次，通过 + - * 得到{target}。"
    )

    def work(rng: Random) -> Working:
        todo = list(ways)
        rng.shuffle(todo)
        lines: list[str] = []
        slip: Slip | None = None
        slip_way = rng.randrange(2)
        for n, (line, needed, tries, form) in enumerate(todo):
            lines.append(f"{line}?")
            order = list(tries)
            rng.shuffle(order)
            for text, value in order:
                lines.append(f"{text}={value}")
                if value == needed:
                    answer = _expression(form, text)
                    found = tuple(lines)
                    if slip is None:  # found before a slip could happen: doubt the sum instead
                        doubt = f"{text}={near_miss(rng, value)}"
                        slip = Slip(
                            at=len(lines) - 1, lines=(*lines[:-1], doubt), answer=guess(rng), check=(lines[-1],)
                        )
                    return Working(lines=found, answer=answer, check=_check(form, text, needed, target), slip=slip)
            if n == slip_way:
                text = order[-1][0]
                believed = (*lines[:-1], f"{text}={needed}")
                slip = Slip(at=len(lines) - 1, lines=believed, answer=_expression(form, text), check=(lines[-1],))
        raise AssertionError(f"no way to {target} from {numbers}")

    def guess(rng: Random) -> str:
        if rng.random() < 0.08:
            return answer
        a, b, c = rng.sample(numbers, 3)
        return f"{a}{rng.choice('+-*')}{b}{rng.choice('+-')}{c}"

    return Question(
        task="countdown",
        key=f"{sorted(numbers)} {target}",
        language=language,
        difficulty=2 if all("*" in _expression(f, t) for _, need, ts, f in ways for t, v in ts if v == need) else 1,
        prompt=prompt,
        gold=ExpressionGold(numbers=numbers, target=target, operators="+-*"),
        answer=answer,
        work=work,
        guess=guess,
    )
