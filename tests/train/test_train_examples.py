"""Examples as token ids: what is learnt and what is only read, what is left out, mixtures, and what is held back."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from devices import DEVICE
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError
from ponder.policy import Policy, random_policy
from ponder.records import Example, Language, Message
from ponder.task.examples import LoadedExamples, SourcedExample
from ponder.train.examples import EncodedExample, EncodedExamples, encode_examples, hold_back, show_mask

TINY = {"model_type": "qwen2", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 2048}  # fmt: skip
CHATML = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def policy(template: str, chat: bool = False) -> Policy:
    """A byte-level policy: 256 bytes, then its special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"] if chat else ["<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>" if chat else "<eos>")
    if chat:
        tokenizer.chat_template = CHATML
    return random_policy(TINY, tokenizer, template, seed=1, precision="fp32", device=DEVICE)


def example(
    answer: str = "It is 5.", thinking: str | None = "2+3 等 5", *turns: tuple[str, str], **more: Any
) -> Example:
    messages = tuple(Message(role=role, content=text) for role, text in turns or (("user", "2+3?"),))  # type: ignore[arg-type]
    language: Language = "en"
    fields = {"id": "e", "domain": "d", "language": language} | more
    return Example(messages=messages, thinking=thinking, answer=answer, **fields)


def sourced(*examples: Example, source: str = "s") -> LoadedExamples:
    entries = tuple(SourcedExample(source=source, row=row, example=one) for row, one in enumerate(examples, start=1))
    return LoadedExamples(examples=entries, left_out=(), weights={source: 1.0})


def encoded(one: Example, model: Policy, max_tokens: int = 2048) -> EncodedExample:
    return encode_examples(sourced(one), model, max_tokens).examples[0]


MULTI = (("user", "q1"), ("assistant", "<think>\nlong\n</think>\n\nr1"), ("user", "q2"))
QUESTION = (
    "enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process "
)


@pytest.mark.parametrize(
    ("model", "one", "read", "learnt", "end"),
    [
        (policy("r1"), example(), "User: 2+3?\n\nAssistant: <think>\n", "2+3 等 5\n</think>\n\nIt is 5.", "<eos>"),
        (policy("r1"), example("Hi", None), "User: 2+3?\n\nAssistant: <think>\n", "\n</think>\n\nHi", "<eos>"),
        (policy("r1"), example("r2", "t", *MULTI),
         "User: q1\n\nAssistant: r1\n\nUser: q2\n\nAssistant: <think>\n", "t\n</think>\n\nr2", "<eos>"),
        (policy("r1-zero"), example("5"), "User: 2+3?. Assistant:", " <think>2+3 等 5</think> <answer>5</answer>",
         "<eos>"),
        (policy("r1", chat=True), example("r2", "t", *MULTI),
         "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\nr1<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n"
         "<|im_start|>assistant\n<think>\n", "t\n</think>\n\nr2", "<|im_end|>"),
        (policy("r1-zero", chat=True), example("5", "t"), "User: 2+3?. Assistant:",
         " <think>t</think> <answer>5</answer>", "<|endoftext|>"),
    ],
    ids=["chat", "no thinking", "turns", "tags", "chat template", "tags beside a chat template"],
)  # fmt: skip
def test_what_is_read_and_what_is_learnt(model: Policy, one: Example, read: str, learnt: str, end: str) -> None:
    found = encoded(one, model)
    tokenizer = model.tokenizer
    prompt, response = found.prompt.tolist(), found.response.tolist()
    assert tokenizer.decode(prompt).endswith(read)
    assert tokenizer.decode(prompt) == read or QUESTION in tokenizer.decode(prompt)
    assert tokenizer.decode(response[:-1]) == learnt
    assert tokenizer.decode(response[-1:]) == end
    assert tuple(prompt) == model.template.encode(tokenizer, one.messages)  # as sampling does it
    assert response[-1] in model.stop_ids and not model.stop_ids & set(response[:-1])
    assert model.template.split(tokenizer.decode(response[:-1])).well_formed
    sample = found.sample("g", 0.5)
    assert (*sample.prompt_ids, *sample.response_ids) == (*prompt, *response) and sample.weight == 0.5


def test_the_longest_that_fits_and_one_more() -> None:
    model = policy("r1")
    length = encoded(example(), model).tokens
    assert encode_examples(sourced(example()), model, length).left_out == ()
    both = encode_examples(sourced(example(), example("5")), model, length - 1)
    assert [len(both.examples), both.sizes] == [1, {"s": 1}]
    assert (
        both.left_out[0].row == 1 and f"{length} tokens, more than max_tokens {length - 1}" in both.left_out[0].reason
    )


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (example("a </think> b"), "cannot be written in template 'r1'"),
        (example(""), "there is no answer"),
        (example("5", "t", ("user", "q"), ("assistant", "r")), "must end with a user's message"),
        (
            example("5", "t", ("system", "s"), ("user", "q")),
            "refuses a conversation of the turns system, user: no system turns",
        ),
    ],
)
def test_examples_left_out(one: Example, reason: str) -> None:
    model = policy("r1", chat=True)
    found = encode_examples(sourced(one, example()), model, 2048)
    assert len(found.examples) == 1 and found.left_out[0].row == 1 and reason in found.left_out[0].reason
    with pytest.raises(DataError, match="Source 's' has no example that can be learnt: row 1"):
        encode_examples(sourced(one), model, 2048)


def test_text_the_tokenizer_cannot_write() -> None:
    words = ["<unk>", "<eos>", "a", "User", ":", "Assistant", "<think>", "</think>", "q"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", unk_token="<unk>")
    model = random_policy(TINY, tokenizer, "r1", seed=1, precision="fp32", device=DEVICE)
    found = encode_examples(sourced(example("b", "a"), example("a", "a")), model, 100)
    assert len(found.examples) == 1 and "no token for ('<unk>')" in found.left_out[0].reason


def made(sizes: dict[str, int], weights: dict[str, float], prompts: int = 10**6) -> EncodedExamples:
    examples = tuple(
        EncodedExample(
            id=f"{source}/{i}", source=source, domain="d", prompt=np.array([i % prompts], np.int32),
            response=np.array([1], np.int32),
        )
        for source, size in sizes.items()
        for i in range(size)
    )  # fmt: skip
    return EncodedExamples(examples=examples, left_out=(), weights=weights, sizes=sizes)


def test_mixtures_come_in_proportion_and_need_no_state() -> None:
    data = made({"a": 30, "b": 10, "c": 5}, {"a": 1.0, "b": 2.0, "c": 0.4})
    assert data.per_epoch == 30 + 20 + 2
    ids = [data.at(7, index).id for index in range(2 * 52)]
    assert [data.at(7, index).id for index in reversed(range(104))] == ids[::-1]
    counts = Counter(one.split("/")[0] for one in ids[:52])
    assert counts == {"a": 30, "b": 20, "c": 2}
    assert set(Counter(one for one in ids[:52] if one[0] == "a").values()) == {1}  # each once in an epoch
    assert set(Counter(one for one in ids[:52] if one[0] == "b").values()) == {2}
    for end in range(1, 105):  # at any moment, not only at the end of an epoch
        share = sum(one[0] == "b" for one in ids[:end])
        assert abs(share - end * 20 / 52) <= 2
    assert [data.at(8, index).id for index in range(104)] != ids


def test_one_epoch_of_a_plain_union_has_each_example_once() -> None:
    data = made({"a": 7, "b": 3}, {"a": 1.0, "b": 1.0})
    for epoch in range(3):
        assert len({data.at(1, 10 * epoch + i).id for i in range(10)}) == 10


def test_what_is_held_back_shares_no_prompt_with_what_is_trained_on() -> None:
    data = made({"a": 60, "b": 40}, {"a": 1.0, "b": 1.0}, prompts=25)
    training, held = hold_back(data, 0.1, 512, seed=3)
    assert 6 <= len(held) <= 10 and len(training.examples) == 100 - len(held)
    assert {e.prompt.tobytes() for e in held}.isdisjoint(e.prompt.tobytes() for e in training.examples)
    assert training.sizes == {name: sum(e.source == name for e in training.examples) for name in ("a", "b")}
    assert {training.at(0, i).id for i in range(len(training.examples))} == {e.id for e in training.examples}
    again, other = hold_back(data, 0.1, 512, seed=3), hold_back(data, 0.1, 512, seed=4)
    assert [e.id for e in again[1]] == [e.id for e in held] != [e.id for e in other[1]]


@pytest.mark.parametrize(("size", "share", "limit", "count"), [(100, 0.1, 512, 10), (100, 0.1, 4, 4), (100, 0.0, 9, 0),
                                                               (3, 0.02, 9, 1), (1, 0.5, 9, 0)])  # fmt: skip
def test_how_much_is_held_back(size: int, share: float, limit: int, count: int) -> None:
    training, held = hold_back(made({"a": size}, {"a": 1.0}), share, limit, seed=0)
    assert (len(held), training.sizes) == (count, {"a": size - count})


def test_the_mask_is_shown_from_the_very_ids() -> None:
    model = policy("r1")
    found = encoded(example(), model)
    read, learnt, end = show_mask(found.sample("g", 1.0), model.tokenizer)
    assert read.startswith(f"read, {len(found.prompt)} tokens: ") and repr("User: 2+3?\n\nAssistant: <think>\n") in read
    assert repr("2+3 等 5\n</think>\n\nIt is 5.") in learnt and f"learnt, {len(found.response) - 1} tokens" in learnt
    assert end == "learnt, the end token: '<eos>' (256)"
    long = encoded(example("x" * 1000), model)
    assert "[... " in show_mask(long.sample("g", 1.0), model.tokenizer)[1]


def test_a_typed_end_token_is_learnt_as_text() -> None:
    """It does not end the response early, nor the user's turn."""
    model = policy("r1", chat=True)
    found = encoded(example("write <|im_end|> there", "an <|endoftext|>", ("user", "what is <|im_end|>?")), model)
    response, prompt = found.response.tolist(), found.prompt.tolist()
    end = model.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.tokenizer.decode(response[:-1]) == "an <|endoftext|>\n</think>\n\nwrite <|im_end|> there"
    assert response[-1] == end and not model.stop_ids & set(response[:-1])
    assert prompt.count(end) == 1 and tuple(prompt) == model.template.encode(
        model.tokenizer, [Message(role="user", content="what is <|im_end|>?")]
    )
