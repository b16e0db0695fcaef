"""The corpus: what its thoughts look like, and that its tokenizer keeps numbers and text whole."""

from itertools import islice
from random import Random

import pytest
from transformers import PreTrainedTokenizerFast

from ponder.micro import TASKS
from ponder.micro.corpus import END, documents
from ponder.micro.thought import think
from ponder.micro.tokenizer import train_tokenizer
from ponder.text.language import language_share
from ponder.text.reflection import count_reflection
from ponder.text.template import TEMPLATES
from ponder.verify import verify


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(islice(documents(0), 3000), 2048)


def test_documents_depend_on_seed_and_number_alone() -> None:
    assert list(islice(documents(0), 5, 9)) == list(islice(documents(0, start=5), 4))
    assert next(documents(0)) != next(documents(1))


def test_careful_thoughts_are_longer_more_reflective_and_right() -> None:
    rng = Random(0)
    questions = [TASKS[task](rng, "en") for task in TASKS if task != "function" for _ in range(40)]
    right, length, reflection = {}, {}, {}
    for manner in ("hunch", "give_up", "careful"):
        thoughts = [think(rng, question, manner) for question in questions]
        right[manner] = sum(
            verify(t.answer, q.gold).outcome == "right" for t, q in zip(thoughts, questions, strict=True)
        ) / len(questions)
        length[manner] = sum(len(t.text or "") for t in thoughts)
        reflection[manner] = sum(count_reflection(t.text or "") for t in thoughts)
    assert right["careful"] == 1.0 and right["give_up"] < 0.4 > right["hunch"]
    assert length["careful"] > 2 * length["give_up"] > 2 * length["hunch"]
    assert reflection["careful"] > 10 * (reflection["give_up"] + reflection["hunch"] + 1)


def test_careful_thoughts_mix_languages() -> None:
    rng = Random(1)
    shares = [
        language_share(think(rng, TASKS["equation"](rng, "zh"), "careful").text or "", "zh") or 0.0 for _ in range(300)
    ]
    assert 0.1 < sum(share < 0.9 for share in shares) / len(shares) < 0.9


def test_replies_follow_the_template() -> None:
    template = TEMPLATES["r1-zero"]
    texts = [text for text in islice(documents(0), 400) if text.startswith("A conversation")]
    well_formed = [
        template.split(text.split(" Assistant:")[1].split(END)[0]).well_formed for text in texts if text.count(END) == 1
    ]
    assert 0.7 < sum(well_formed) / len(well_formed) < 1.0  # bare answers are not


def test_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in [*islice(documents(7), 200), "naive cafe\u0301 \u4f60\u597d \U0001f600 1234567 \t\r\n"]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_numbers_and_tags_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    for number in (0, 7, 10, 99, 100, 365, 999):
        assert len(tokenizer(f"{number}").input_ids) == 1
        assert tokenizer.tokenize(f"{number}+{number}") == [str(number), "+", str(number)]
    for tag in ("<think>", "</think>", "<answer>", "</answer>", END):
        assert len(tokenizer(tag).input_ids) == 1


def test_pad_is_not_the_end(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.eos_token == END and tokenizer.pad_token_id != tokenizer.eos_token_id
