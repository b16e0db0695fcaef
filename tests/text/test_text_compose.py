"""Responses written by a template: read back as they were, in the words the paper shows, with the right end."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ponder.errors import DataError, ModelError
from ponder.text.template import TEMPLATES, Template

ZERO, CHAT = TEMPLATES["r1-zero"], TEMPLATES["r1"]


@pytest.mark.parametrize(
    ("template", "thinking", "answer", "completion"),
    [
        (CHAT, "2+3=5", "It is 5.", "2+3=5\n</think>\n\nIt is 5."),
        (CHAT, None, "Hello!", "\n</think>\n\nHello!"),
        (CHAT, "", "Hello!", "\n</think>\n\nHello!"),
        (CHAT, " a\n\nb\n", "\n5 ", "a\n\nb\n</think>\n\n5"),
        (CHAT, "a", "<answer>5</answer>", "a\n</think>\n\n<answer>5</answer>"),
        (ZERO, "2+3=5", "5", " <think>2+3=5</think> <answer>5</answer>"),
        (ZERO, None, "Hello!", " <think></think> <answer>Hello!</answer>"),
    ],
)
def test_words(template: Template, thinking: str | None, answer: str, completion: str) -> None:
    assert template.compose(thinking, answer) == completion
    response = template.split(completion)
    assert response.well_formed
    assert (response.thinking, response.answer) == ((thinking or "").strip(), answer.strip())


@settings(deadline=None)
@given(thinking=st.text("ab <>/\n等"), answer=st.text("ab 5<>/\n等").filter(str.strip))
def test_what_is_composed_is_read_back(thinking: str, answer: str) -> None:
    for template in (ZERO, CHAT):
        response = template.split(template.compose(thinking, answer))
        assert (response.thinking, response.answer) == (thinking.strip(), answer.strip())
    response = TEMPLATES["plain"].split(TEMPLATES["plain"].compose(None, answer))
    assert (response.thinking, response.answer, response.well_formed) == (None, answer.strip(), True)


@pytest.mark.parametrize(
    ("template", "thinking", "answer"),
    [
        (CHAT, "a", ""),
        (CHAT, "a", " \n"),
        (CHAT, "a </think> b", "5"),
        (CHAT, "a <think> b", "5"),
        (CHAT, "a", "5 <think> b"),
        (CHAT, "a", "5 </think> b"),
        (ZERO, "a", ""),
        (ZERO, "a <answer>4</answer> b", "5"),
        (ZERO, "a", "5</answer> 6"),
        (ZERO, "a", "<answer>5</answer>"),
        (ZERO, "a</think>", "5"),
    ],
)
def test_what_could_not_be_read_back_is_refused(template: Template, thinking: str, answer: str) -> None:
    with pytest.raises(DataError, match=f"cannot be written in template '{template.name}'"):
        template.compose(thinking, answer)


def test_the_prompt_and_the_completion_make_the_r1_form() -> None:
    assert CHAT.prefill + CHAT.compose("2+3=5", "5") == "<think>\n2+3=5\n</think>\n\n5"
    assert CHAT.prefill + CHAT.compose(None, "Hi") == "<think>\n\n</think>\n\nHi"


def test_a_prefill_that_no_response_begins_with() -> None:
    with pytest.raises(ModelError, match="prefill"):
        replace(CHAT, prefill="<think>\nOkay").compose("a", "5")


def tokenizer(tokens: list[str], eos: str | None, pad: str | None = None) -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=tokens[0]))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token=eos, pad_token=pad)


@pytest.mark.parametrize(
    ("template", "tokens", "eos", "pad", "end"),
    [
        (CHAT, ["<|endoftext|>", "<|im_end|>"], "<|endoftext|>", None, "<|im_end|>"),  # Qwen base
        (CHAT, ["<|endoftext|>", "<|im_end|>"], "<|im_end|>", None, "<|im_end|>"),  # Qwen instruct
        (ZERO, ["<|endoftext|>", "<|im_end|>"], "<|endoftext|>", None, "<|endoftext|>"),
        (CHAT, ["<|eot_id|>", "<|end_of_text|>"], "<|end_of_text|>", None, "<|end_of_text|>"),  # Llama base
        (CHAT, ["<pad>", "</s>"], "</s>", "<pad>", "</s>"),  # nothing declared is known
        (CHAT, ["</s>", "<|im_end|>"], "</s>", "<|im_end|>", "</s>"),  # the declared end is only padding here
        (CHAT, ["</s>"], "</s>", "</s>", "</s>"),
    ],
)
def test_the_end_that_is_learnt(template: Template, tokens: list[str], eos: str, pad: str | None, end: str) -> None:
    made = tokenizer(tokens, eos, pad)
    assert template.end_id(made) == tokens.index(end)
    assert template.end_id(made) in template.stop_ids(made)


def test_an_end_that_only_the_generation_configuration_knows() -> None:
    assert ZERO.end_id(tokenizer(["a", "b"], None), GenerationConfig(eos_token_id=1)) == 1
    with pytest.raises(ModelError, match="without end token"):
        ZERO.end_id(tokenizer(["a", "b"], None))
