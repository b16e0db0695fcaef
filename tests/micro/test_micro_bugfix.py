"""Packages with a fault: the known patch is right, the package as it stands and most careless patches are wrong."""

from collections import Counter
from collections.abc import Iterator

import pytest

from ponder.micro.examples import examples
from ponder.micro.problems import generate, questions
from ponder.records import RepositoryGold
from ponder.verify.pool import VerifierPool

NOTHING = "unused_file.py\n<<<<<<< SEARCH\n=======\n# nothing\n>>>>>>> REPLACE"


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(1) as pool:
        yield pool


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_known_patch_alone_is_right(pool: VerifierPool, split: str) -> None:
    problems = generate(("bugfix",), ("en", "zh"), 24, split, 5)  # type: ignore[arg-type]
    asked = []
    for problem in problems:
        assert isinstance(problem.gold, RepositoryGold) and problem.gold.answer is not None
        asked.append([pool.submit(answer, problem.gold) for answer in (problem.gold.answer, NOTHING)])
    assert [[one.result().outcome for one in pair] for pair in asked] == [["right", "wrong"]] * 24


def test_the_splits_share_no_package() -> None:
    train, test = ({q.key for q in questions(("bugfix",), ("en",), 60, split, 0)} for split in ("train", "test"))
    assert len(train) == len(test) == 60 and not train & test


def test_careless_people_are_seldom_right(pool: VerifierPool) -> None:
    problems = generate(("bugfix",), ("en", "zh"), 60, "train", 1)
    answers = examples(("bugfix",), ("en", "zh"), 60, "train", 1, careful=0.1)
    found = [
        pool.submit(example.answer, problem.gold)
        for example, problem in zip(answers, problems, strict=True)
        if problem.gold is not None
    ]
    outcomes = Counter(one.result().outcome for one in found)
    assert 1 <= outcomes["right"] <= 20 and outcomes["right"] + outcomes["wrong"] == 60
