"""A template's own words are no thought and no answer."""

import pytest

from ponder.text import TEMPLATES
from ponder.text.copied import examples_in, is_copy, words_of

ZERO = TEMPLATES["r1-zero"]
CASES = [
    ("reasoning process here", "5", ("thinking",)),
    ("Reasoning process here.", "5", ("thinking",)),
    ("reasoning process here reasoning process here reasoning", "5", ("thinking",)),
    ("The assistant first thinks about the reasoning process in the mind", "5", ("thinking",)),
    ("A conversation between User and Assistant.", "5", ("thinking",)),
    ("reasoning process here", "answer here", ("thinking", "answer")),
    ("2 and 3 are 5", "Answer here!", ("answer",)),
    ("2 and 3 are 5", "answer here answer here", ("answer",)),
    ("2 and 3 are 5", "5", ()),
    ("The reasoning process here is short: 2 + 3 = 5", "5", ()),
    ("The assistant first thinks about apples", "5", ()),
    ("reasoning", "5", ()),
    ("...", "5", ()),
    ("2 and 3 are 5", "here", ()),
]


@pytest.mark.parametrize(("thinking", "answer", "copied"), CASES)
def test_what_is_copied(thinking: str, answer: str, copied: tuple[str, ...]) -> None:
    response = ZERO.split(f" <think> {thinking} </think> <answer> {answer} </answer>")
    assert response.copied == copied and response.well_formed is not bool(copied)
    assert (response.thinking, response.answer) == (thinking, answer)
    if copied:
        assert response.problem == f"the template's own words stand as the {' and the '.join(copied)}"


def test_a_template_without_words_of_its_own_has_none_to_copy() -> None:
    assert TEMPLATES["r1"].split("reasoning process here\n</think>\n\nanswer here").well_formed
    assert TEMPLATES["r1"].example is None
    assert ZERO.example == ("reasoning process here", "answer here")


def test_words_and_examples() -> None:
    assert words_of(" Is it 3.5, or  ½?\n好") == ("is", "it", "3", "5", "or", "½", "好")
    assert examples_in("<think> a b </think> and <answer></answer>") == {"think": ("a", "b")}
    assert is_copy("one two", None, ("zero", "one", "two"))
    assert not is_copy("one two", None, ("one", "zero", "two"))
    assert not is_copy("", ("a",), ("b",))
