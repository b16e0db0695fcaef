"""Templates: the paper's words, the chat form, what ends a completion, saved and read back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ponder.errors import DataError, ModelError
from ponder.records import Message
from ponder.text.template import TEMPLATES, Template, template_for

ZERO, CHAT = TEMPLATES["r1-zero"], TEMPLATES["r1"]
PAPER = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning "
    "process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> "
    "reasoning process here </think> <answer> answer here </answer>. User: prompt. Assistant:"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", content=text)


def byte_tokenizer(special: tuple[str, ...] = (), bos: str | None = None, **names: Any) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: 256 bytes, then `special`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(special))
    if bos is not None:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A {special[1]}", special_tokens=[(t, core.token_to_id(t)) for t in (bos, special[1])]
        )
        names["bos_token"] = bos
    return PreTrainedTokenizerFast(tokenizer_object=core, **names)


def test_zero_is_the_papers_text() -> None:
    assert ZERO.render([user("prompt")]) == PAPER
    question = "What is {2}+3%s \\ <think>? A prompt"
    assert ZERO.render([user(question)]) == PAPER.replace("User: prompt.", f"User: {question}.")
    assert ZERO.prefill == "" and ZERO.end == ()


def test_zero_with_history_and_system() -> None:
    full = "<think> a </think> <answer> 5 </answer>"
    text = ZERO.render([Message(role="system", content="Be brief."), user("q1"), assistant(full), user("q2")])
    assert text == PAPER.replace("prompt. A", f"Be brief.\n\nq1. Assistant: {full} User: q2. A")


def test_chat_in_its_own_words() -> None:
    assert CHAT.render([user("q")]) == "User: q\n\nAssistant: <think>\n"
    history = [user("q1"), assistant("<think>\nlong\n</think>\n\nIt is 5."), user("q2")]
    assert CHAT.render(history) == "User: q1\n\nAssistant: It is 5.\n\nUser: q2\n\nAssistant: <think>\n"
    for content, kept in [("5", "5"), ("a</think>5", "5"), ("<think>never", ""), ("<think>a</think>5<think>b", "5")]:
        assert CHAT.render([user("q1"), assistant(content), user("q2")]) == CHAT.render(
            [user("q1"), assistant(kept), user("q2")]
        )


def test_user_turns_without_a_reply_between_them_are_one() -> None:
    two = [user("q1"), user("q2")]
    assert CHAT.render(two) == "User: q1\n\nq2\n\nAssistant: <think>\n"
    assert ZERO.render(two) == PAPER.replace("prompt. A", "q1\n\nq2. A")
    system = Message(role="system", content="s")
    history = [system, user("q1"), system, user("q2"), assistant("a1"), assistant("a2"), user("q3")]
    assert CHAT.render(history) == (
        "User: s\n\nq1\n\ns\n\nq2\n\nAssistant: a1\n\na2\n\nUser: q3\n\nAssistant: <think>\n"
    )
    assert CHAT.render([user("q1"), system, assistant("a"), user("q2")]) == (
        "User: q1\n\nAssistant: a\n\nUser: s\n\nq2\n\nAssistant: <think>\n"
    )


@pytest.mark.parametrize("template", TEMPLATES.values())
def test_a_conversation_does_not_begin_with_a_reply(template: Template) -> None:
    for greeting in ([assistant("Hello!")], [Message(role="system", content="s"), assistant("Hello!")]):
        with pytest.raises(DataError, match="begins with an assistant's turn"):
            template.render([*greeting, user("q")])
    tokenizer = byte_tokenizer(("<|im_start|>", "<|im_end|>"), eos_token="<|im_end|>")
    tokenizer.chat_template = CHATML  # knows how to write it
    assert "assistant\nHello!" in tokenizer.decode(CHAT.encode(tokenizer, [assistant("Hello!"), user("q")]))


@pytest.mark.parametrize("template", TEMPLATES.values())
@pytest.mark.parametrize("messages", [[], [assistant("5")], [user("q"), assistant("5")]])
def test_a_prompt_ends_with_the_user(template: Template, messages: list[Message]) -> None:
    with pytest.raises(DataError, match="end with a user"):
        template.render(messages)


@pytest.mark.parametrize("template", TEMPLATES.values())
def test_half_a_character_is_no_text(template: Template) -> None:
    with pytest.raises(DataError, match="half of a surrogate pair"):
        template.encode(byte_tokenizer(("<eos>",), eos_token="<eos>"), [user("2\ud83d3")])


def test_encode_plain() -> None:
    tokenizer = byte_tokenizer(("<eos>",), eos_token="<eos>")
    for template in TEMPLATES.values():
        ids = template.encode(tokenizer, [user("2+3 = ? 等")])
        assert tokenizer.decode(ids) == template.render([user("2+3 = ? 等")])


def test_encode_begins_with_the_begin_token_and_never_ends() -> None:
    tokenizer = byte_tokenizer(("<bos>", "<eos>"), bos="<bos>", eos_token="<eos>")
    assert tokenizer.encode("") == [256, 257]
    ids = ZERO.encode(tokenizer, [user("q")])
    assert ids[0] == 256 and ids.count(256) == 1 and 257 not in ids


@pytest.mark.parametrize("ending", ["", "<think>", "<think>\n"])
def test_encode_with_the_tokenizers_chat_template(ending: str) -> None:
    tokenizer = byte_tokenizer(("<|im_start|>", "<|im_end|>"), eos_token="<|im_end|>")
    tokenizer.chat_template = CHATML.replace("assistant\n{% endif", "assistant\n" + ending + "{% endif")
    history = [user("q1"), assistant("<think>a</think>5"), user("q2")]
    text = tokenizer.decode(CHAT.encode(tokenizer, history))
    assert text == (
        "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n"
        "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n<think>\n"
    )
    assert tokenizer.decode(ZERO.encode(tokenizer, [user("prompt")])) == PAPER


def test_rewards_see_the_prefill() -> None:
    response = CHAT.split("2+3 is 5\n</think>\n\nIt is 5.")
    assert response.well_formed and response.thinking == "2+3 is 5" and response.answer == "It is 5."
    assert not CHAT.split("It is 5.").well_formed
    assert ZERO.split(" <think> a </think> <answer> 5 </answer>").answer == "5"


def test_the_template_text_itself_is_not_well_formed() -> None:
    assert not ZERO.split(PAPER).well_formed


@given(thinking=st.text("ab <>等\n", max_size=20), answer=st.text("ab 5等", min_size=1).filter(str.strip))
def test_round_trip_of_both_templates(thinking: str, answer: str) -> None:
    tagged = ZERO.split(f" <think>{thinking}</think>\n<answer>{answer}</answer>")
    chat = CHAT.split(f"{thinking}</think>\n\n{answer}")
    for response in (tagged, chat):
        assert (response.thinking, response.answer) == (thinking.strip(), answer.strip())
        assert response.well_formed


def test_stop_ids_are_the_union() -> None:
    tokenizer = byte_tokenizer(("<pad>", "<eos>", "<|im_end|>"), eos_token="<eos>", pad_token="<pad>")
    assert ZERO.stop_ids(tokenizer) == {257}
    assert CHAT.stop_ids(tokenizer) == {257, 258}
    assert ZERO.stop_ids(tokenizer, GenerationConfig(eos_token_id=7)) == {7, 257}
    assert ZERO.stop_ids(tokenizer, GenerationConfig(eos_token_id=[7, 8])) == {7, 8, 257}
    assert ZERO.stop_ids(tokenizer, GenerationConfig()) == {257}


def test_pad_is_no_stop_unless_it_is_declared_as_an_end() -> None:
    tokenizer = byte_tokenizer(("<pad>", "<eos>"), eos_token="<eos>", pad_token="<pad>")
    assert ZERO.stop_ids(tokenizer) == {257}
    assert ZERO.stop_ids(tokenizer, GenerationConfig(eos_token_id=[256, 257])) == {256, 257}
    assert ZERO.end_id(tokenizer, GenerationConfig(eos_token_id=[256, 257])) == 257
    nameless = byte_tokenizer(("<pad>", "<eos>"), pad_token="<pad>")
    assert ZERO.end_id(nameless, GenerationConfig(eos_token_id=[256, 257])) == 257
    turn = byte_tokenizer(("<|im_end|>", "<eos>"), eos_token="<eos>", pad_token="<|im_end|>")
    assert CHAT.stop_ids(turn, GenerationConfig(eos_token_id=257)) == {257}
    both = byte_tokenizer(("<eos>", "<|im_end|>"), eos_token="<eos>", pad_token="<eos>")
    assert ZERO.stop_ids(both) == {256}
    assert CHAT.stop_ids(both) == {256, 257}
    only = byte_tokenizer(("<pad>",), pad_token="<pad>")
    assert ZERO.stop_ids(only, GenerationConfig(eos_token_id=256)) == {256}


def test_no_end_token_is_an_error() -> None:
    with pytest.raises(ModelError, match="tokenizer without end token"):
        ZERO.stop_ids(byte_tokenizer())
    with pytest.raises(ModelError, match="tokenizer without end token"):
        CHAT.stop_ids(byte_tokenizer(("<pad>",), pad_token="<pad>"), GenerationConfig())


@pytest.mark.parametrize("template", TEMPLATES.values())
def test_save_and_load(template: Template, tmp_path: Path) -> None:
    assert template.save(tmp_path).name == "ponder_template.json"
    assert Template.load(tmp_path) == template
    assert template_for(tmp_path) == template
    assert template_for(tmp_path, "r1") == CHAT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2, but this ponder reads"),
        ({"version": "1"}, "version '1'"),
        ({"version": True}, "version True"),
        ({"version": None}, "version None"),
        ({"colour": "red"}, "colour"),
        ({"prefill": 3}, "prefill"),
        ({"end": "<eos>"}, "end"),
        ({"chat": "yes"}, "chat"),
    ],
)
def test_bad_template_files(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "ponder_template.json"
    path.write_text(json.dumps({**ZERO.to_json(), **change}))
    with pytest.raises(ModelError, match=message):
        Template.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"version": 1}'])
def test_damaged_template_files(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ponder_template.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"ponder_template\.json"):
        Template.load(tmp_path)


def test_missing_template_and_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--template at the command line, of r1-zero, r1"):
        template_for(tmp_path)
    with pytest.raises(ModelError, match="did you mean 'r1-zero'"):
        template_for(tmp_path, "r1zero")
