"""The embedded world's forms: their golds, their splits, and how people fill them in."""

import hashlib
import json
from collections import Counter
from random import Random

import pytest

from ponder.micro import GENERAL, TASKS
from ponder.micro.corpus import documents
from ponder.micro.examples import examples
from ponder.micro.form import make
from ponder.micro.problems import generate
from ponder.records import Example, JsonGold, Language, to_json
from ponder.verify import check_gold, verify


@pytest.mark.parametrize("language", ["en", "zh"])
def test_workings_are_right_and_slips_and_most_guesses_are_wrong(language: Language) -> None:
    rng = Random(0)
    guesses: Counter[str] = Counter()
    for _ in range(150):
        question = make(rng, language)
        working = question.work(rng)
        assert check_gold(question.gold) is None
        assert verify(question.answer, question.gold).outcome == "right"
        assert verify(working.answer, question.gold).outcome == "right"
        assert verify(working.slip.answer, question.gold).outcome == "wrong"
        assert working.slip.lines[working.slip.at] != working.lines[working.slip.at]
        guesses[verify(question.guess(rng), question.gold).outcome] += 1
        assert isinstance(question.gold, JsonGold)
        assert all(str(value) in question.prompt for value in question.gold.values.values())
    assert guesses["right"] < 30 < guesses["wrong"]


def test_splits_share_no_form() -> None:
    train, test = (generate(("form",), ("en", "zh"), 300, split, 1) for split in ("train", "test"))
    assert not {one.prompt for one in train} & {one.prompt for one in test}
    assert {one.domain for one in train} == {"form"}


def right(example: Example, gold: JsonGold) -> bool:
    return verify(example.answer, gold).outcome == "right"


def test_examples_show_as_many_careful_answers_as_asked_for() -> None:
    golds = [one.gold for one in generate(("form",), ("en", "zh"), 400, "train", 1)]
    shares = {}
    for careful in (0.0, 0.2, 1.0):
        made = list(examples(("form",), ("en", "zh"), 400, "train", 1, careful=careful))
        found = [right(one, gold) for one, gold in zip(made, golds, strict=True) if isinstance(gold, JsonGold)]
        shares[careful] = sum(found) / len(found)
    assert shares[0.0] < 0.1 < shares[0.2] < 0.35
    assert shares[1.0] == 1


def test_examples_of_careful_answers_alone_are_drawn_as_ever() -> None:
    """What r1-micro and its like are trained on."""
    made = examples((*TASKS, *GENERAL), ("en", "zh"), 130, "train", 0)
    digest = hashlib.sha256(json.dumps([to_json(one) for one in made]).encode()).hexdigest()
    assert digest.startswith("33c4761c0381c4e2")


def test_the_corpus_knows_nothing_of_forms() -> None:
    pages = documents(0)
    assert not any('"' in next(pages) for _ in range(300))
