"""Chains of sums that are too large for a head, for which there is a calculator: the world's task with a tool.

All numbers that are read and written are those of the world, up to 99, since what is asked for is what remains of the
result when it is divided; but nobody gets there without larger ones. A question is answered off the top of the head,
which is hardly ever right, or by calling the calculator.
"""

from collections.abc import Mapping
from random import Random

from ponder.micro.phrases import say
from ponder.micro.question import LARGEST, Question, Working
from ponder.records import Language, MathGold, Message, Step, ToolCall
from ponder.text.calls import json_text
from ponder.tools import calculator
from ponder.tools.declared import tool_of

__all__ = ["TOOLS", "called", "make"]

TOOLS = (tool_of(calculator),)
"""What may be called."""
_DIVISOR = 97
"""A prime, so that what remains says nothing of how it came about."""
_ASKED: Mapping[Language, str] = {
    "en": "Start with {}, {}. What is the result modulo {}?",
    "zh": "从{}开始，{}。结果除以{}余多少？",
}
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {"+": "add {}", "-": "subtract {}", "*": "multiply by {}"},
    "zh": {"+": "加{}", "-": "减{}", "*": "乘以{}"},
}
_JOINED: Mapping[Language, str] = {"en": ", ", "zh": "，"}


def make(rng: Random, language: Language) -> Question:
    """Difficulty is the number of operations (1 or 2), the first a multiplication."""
    difficulty = rng.randint(1, 2)
    start = rng.randint(12, LARGEST)
    steps = [("*" if place == 0 else rng.choice("+-*"), rng.randint(12, LARGEST)) for place in range(difficulty)]
    expression = f"({start}{''.join(f'{operator}{operand}' for operator, operand in steps)})%{_DIVISOR}"
    value = calculator(expression)
    words = _JOINED[language].join(_WORDS[language][operator].format(operand) for operator, operand in steps)

    def guess(rng: Random) -> str:
        return str(rng.randrange(_DIVISOR))

    def work(rng: Random) -> Working:
        raise AssertionError("nobody works such a sum out on paper")

    return Question(
        task="calculator",
        key=expression,
        language=language,
        difficulty=difficulty,
        prompt=_ASKED[language].format(start, words, _DIVISOR),
        gold=MathGold(answer=value),
        answer=value,
        work=work,
        guess=guess,
    )


def called(rng: Random, question: Question) -> tuple[Step, str]:
    """A call of the calculator with what it gives, and the thought that follows it."""
    call = ToolCall(name=TOOLS[0].name, arguments=json_text({"expression": question.key}))
    step = Step(
        thinking=say(rng, "open", question.language),
        content="",
        tool_calls=(call,),
        results=(Message(role="tool", content=question.answer, name=call.name),),
    )
    return step, say(rng, "close", question.language)
