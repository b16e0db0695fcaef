"""The world's task with a tool: golds against Python's own sums, calls that give them, guesses that seldom do."""

import json
import re
from random import Random
from typing import get_args

import pytest

from ponder.micro.calculator import TOOLS, make
from ponder.micro.examples import examples
from ponder.micro.problems import generate
from ponder.records import Language, MathGold
from ponder.tools import calculator

BOTH = get_args(Language)


@pytest.mark.parametrize("language", BOTH)
def test_golds_are_what_python_says(language: Language) -> None:
    rng = Random(1)
    for question in (make(rng, language) for _ in range(200)):
        value = eval(question.key)
        assert isinstance(question.gold, MathGold) and question.gold.answer == question.answer == str(value)
        assert 0 <= value < 97
        assert re.findall(r"\d+", question.key) == re.findall(r"\d+", question.prompt)


def test_calls_give_the_answer_and_guesses_seldom_do() -> None:
    called = list(examples(("calculator",), BOTH, 60, "train", 3))
    for one in called:
        (step,) = one.steps
        (call,) = step.tool_calls
        assert call.name == TOOLS[0].name and calculator(**json.loads(call.arguments)) == one.answer
        assert step.results[0].content == one.answer and one.tools == TOOLS
    guessed = list(examples(("calculator",), BOTH, 60, "train", 3, careful=0.0))
    assert all(not one.steps and one.tools == TOOLS for one in guessed)
    assert [one.messages for one in guessed] == [one.messages for one in called]
    assert sum(one.answer == other.answer for one, other in zip(guessed, called, strict=True)) < 6
    mixed = [bool(one.steps) for one in examples(("calculator",), BOTH, 300, "train", 3, careful=0.1)]
    assert 15 <= sum(mixed) <= 50


def test_splits_share_nothing() -> None:
    train, test = (
        {one.prompt for one in generate(("calculator",), BOTH, count, split, 1)}
        for count, split in ((400, "train"), (60, "test"))
    )
    assert len(train) == 400 and len(test) == 60 and not train & test
