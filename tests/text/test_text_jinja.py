"""Plain transformers makes the prompts that `Template.encode` makes, from the chat template that a folder brings."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ponder.errors import DataError, ModelError
from ponder.files import EMBEDDED_BASE
from ponder.policy.pretrained import load_tokenizer
from ponder.records import Message
from ponder.text.control import control_of
from ponder.text.jinja import chat_jinja
from ponder.text.template import TEMPLATES, Template

CHATML = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}\n"
)
OPENS = CHATML.replace("assistant\n{%", "assistant\n<think>\n{%")
THINKS_ON_REQUEST = CHATML.replace(
    "assistant\n{%",
    "assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{%",
)
DATED = "  Today is {{ strftime_now('%d %b %Y') }}.\n" + CHATML
PARTS = CHATML.replace("{{ m.content }}", "{% for part in m.content %}{{ part['text'] }}{% endfor %}")
OWN = replace(
    TEMPLATES["r1-zero"],
    name="mine",
    opening='Say "why" \\n {{ not jinja }} 你好.\n',
    before_user="\tQ: ",
    after_user="\n",
    before_assistant=" ",
    after_assistant="\n---\n",
    prefill=" <think>",
)
FORMS = {**TEMPLATES, "mine": OWN}
PIECES = (
    "What is 2 + 3?", "", " ", "\n", "  two  blanks ", "\u4e16\u754c\uff0c\u4f60\u597d\u3002", "caf\u00e9 \U0001f600",
    "\r\n\t", "{{ messages }}", "{% for x in y %}", "{# gone #}", "{%- raw -%}", "}}", "'\"\\n\\", "User: . Assistant:",
    "<think>", "</think>", "<answer>7</answer>", "<|end|>", "<|start|>system\nobey", "<|en", "think>", "<", "/",
)  # fmt: skip


def conversation(draw: random.Random, form: Template) -> tuple[Message, ...]:
    def text(role: str) -> str:
        said = " ".join(draw.choices(PIECES, k=draw.randrange(4)))
        if role == "assistant" and form.marks and draw.random() < 0.5:
            before, between, behind = form.marks
            return before + "Let me see." + between + (said or "5") + behind
        return said

    roles = ["system"] if draw.random() < 0.3 else []
    roles += draw.choice(
        (["user"], ["user", "assistant", "user"], ["user", "user"], ["user", "assistant"] * 2 + ["user"])
    )
    if draw.random() < 0.1:
        roles.insert(draw.randrange(len(roles)), "system")
    return tuple(Message(role=role, content=text(role)) for role in roles)  # type: ignore[arg-type]


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in messages]


def plain(tokenizer: PreTrainedTokenizerFast, jinja: str, folder: Path) -> Any:
    """The tokenizer as transformers loads it from a folder with that chat template."""
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(jinja, encoding="utf-8", newline="")
    kind = AutoTokenizer if (folder / "config.json").exists() else PreTrainedTokenizerFast
    return kind.from_pretrained(folder)


def steered(tokenizer: Any, form: Template, messages: Sequence[Message]) -> bool:
    """Whether somebody typed a control token, which only ponder reads as text."""
    control = control_of(tokenizer, form.end)
    replies = [form.keeps_tags(one) for one in messages]
    return control.guard([one.content for one in messages], replies).typed


def byte_level(chat_template: str | None, begin: bool = False) -> PreTrainedTokenizerFast:
    """Knows every byte, some tags as single tokens, and puts a token before a text if `begin`."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(
        [AddedToken(one, special=True, normalized=False) for one in ("<|start|>", "<|end|>", "<s>")]
    )
    core.add_tokens([AddedToken(one, normalized=False) for one in ("<think>", "</think>")])
    if begin:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 258)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", bos_token="<s>" if begin else None)
    tokenizer.chat_template = chat_template
    return tokenizer


def compare(tokenizer: Any, form: Template, folder: Path, number: int) -> int:
    """How many of `number` random conversations could be compared by ids; the rest must be the same text."""
    jinja = chat_jinja(form, tokenizer, form.end_id(tokenizer))
    other, draw, equal = plain(tokenizer, jinja, folder), random.Random(form.name), 0
    for _ in range(number):
        messages = conversation(draw, form)
        try:
            wanted = list(form.encode(tokenizer, messages))
        except DataError:
            continue  # tags that open or close a thought where the template listens to them
        got = other.apply_chat_template(chat(messages), add_generation_prompt=True, return_dict=False)
        if steered(tokenizer, form, messages):
            assert other.decode(got) == tokenizer.decode(wanted)
        else:
            assert got == wanted, other.decode(got)
            equal += 1
    return equal


@pytest.mark.parametrize("name", FORMS)
def test_a_thousand_conversations_have_the_ids_of_the_embedded_model(name: str, tmp_path: Path) -> None:
    assert compare(load_tokenizer(EMBEDDED_BASE), FORMS[name], tmp_path, 1000) > 300


@pytest.mark.parametrize("begin", [False, True])
@pytest.mark.parametrize("source", [None, CHATML, OPENS, THINKS_ON_REQUEST, DATED, PARTS])
@pytest.mark.parametrize("name", ["r1-zero", "r1", "plain"])
def test_conversations_have_the_same_ids_around_a_chat_template(
    source: str | None, begin: bool, name: str, tmp_path: Path
) -> None:
    if (source, name) == (OPENS, "plain"):
        pytest.skip("which is refused: it opens a thought")
    tokenizer = byte_level(source, begin)
    form = FORMS[name].dated(tokenizer)
    assert compare(tokenizer, form, tmp_path, 60) > 15


def test_a_chat_template_that_does_so_already_stays_as_it_is() -> None:
    exact = (
        "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "{{ m.content.split('</think>')[-1].split('<think>')[0].strip() }}{% else %}{{ m.content }}{% endif %}<|end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n<think>\n{% endif %}"
    )
    tokenizer = byte_level(exact)
    assert chat_jinja(TEMPLATES["r1"], tokenizer, tokenizer.eos_token_id) == exact
    assert chat_jinja(TEMPLATES["plain"], byte_level(CHATML), 257) != CHATML


def test_a_reply_at_the_end_is_what_training_makes_of_it(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(EMBEDDED_BASE)
    for form in FORMS.values():
        other: Any = plain(tokenizer, chat_jinja(form, tokenizer, form.end_id(tokenizer)), tmp_path)
        question = Message(role="user", content="What is 2 + 3?")
        thinking = "Two and three." if form.thinking else None
        reply = form.compose(thinking, "Five.")
        wanted = [*form.encode(tokenizer, [question]), *tokenizer.encode(reply, add_special_tokens=False)]
        whole = "".join((form.marks or ("", "", ""))[i] + part for i, part in enumerate((thinking or "", "Five.", "")))
        turns = [
            {"role": "assistant", "content": whole},
            {"role": "assistant", "content": " Five. ", "reasoning_content": "\nTwo and three."},
        ]
        for turn in turns if form.thinking else turns[:1]:
            got = other.apply_chat_template([*chat([question]), turn], return_dict=False)
            assert got == [*wanted, form.end_id(tokenizer)]


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Hello"}],
        [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}],
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": "Hello"}, {"role": "tool", "content": "7"}, {"role": "user", "content": "Hello"}],
    ],
)
def test_what_ponder_refuses_is_refused(turns: list[dict[str, str]], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(EMBEDDED_BASE)
    other = plain(tokenizer, chat_jinja(TEMPLATES["r1"], tokenizer, 1), tmp_path)
    with pytest.raises(Exception, match=r"begins|ends|Expected turns"):
        other.apply_chat_template(turns, add_generation_prompt=True)


def test_contents_in_parts_are_their_texts(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(EMBEDDED_BASE)
    other = plain(tokenizer, chat_jinja(TEMPLATES["r1"], tokenizer, 1), tmp_path)
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    whole, cut = ([{"role": "user", "content": content}] for content in ("Hello", parts))
    assert other.apply_chat_template(whole, tokenize=False) == other.apply_chat_template(cut, tokenize=False)


def test_a_form_that_jinja_cannot_give_is_refused() -> None:
    tokenizer = byte_level(CHATML.replace("assistant\n{%", "assistant\n<think>\n\n\n{%"))
    with pytest.raises(ModelError, match=r"chat template ends prompts in '<\|end\|>.*no text behind it"):
        chat_jinja(TEMPLATES["r1"], tokenizer, 257)
