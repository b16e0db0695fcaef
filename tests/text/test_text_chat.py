"""Chat templates as models bring them: the date, the switch for thinking, parts, refusals, damage."""

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError, ModelError
from ponder.records import Message
from ponder.text.clock import fixed_clock, moment
from ponder.text.template import TEMPLATES, Template

CHAT, PLAIN, ZERO = TEMPLATES["r1"], TEMPLATES["plain"], TEMPLATES["r1-zero"]
TURNS = "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
REPLY = "<|start|>assistant{{ '\n' }}"
DATED = "<|start|>system\nToday: {{ strftime_now('%d %b %Y') }}<|end|>\n" + TURNS + REPLY
CLOSED = "<think>\n\n</think>{{ '\n\n' }}"
HYBRID_OFF_BY_FLAG = (
    TURNS + REPLY + "{% if enable_thinking is defined and not enable_thinking %}" + CLOSED + "{% endif %}"
)
HYBRID_ON_BY_FLAG = (
    TURNS + REPLY + "{% if enable_thinking is defined and enable_thinking is true %}<think>{{ '\n' }}"
    "{% else %}" + CLOSED + "{% endif %}"
)
HYBRID_CLOSES = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}" + TURNS
    + "<|start|>assistant{% if thinking %}<think>{% else %}</think>{% endif %}"
)  # fmt: skip
HYBRID_OF_ANOTHER_NAME = TURNS + REPLY + "{% if reason_mode is defined %}<think>{% else %}<think></think>{% endif %}"
HYBRID_BY_WORD = TURNS + REPLY + "{% if '/no_think' in messages[0].content %}" + CLOSED + "{% endif %}"
ALWAYS_THINKS = TURNS + REPLY + "<think>{{ '\n' }}"
ALWAYS_CLOSES = TURNS + REPLY + CLOSED
FOREIGN = TURNS + REPLY + "[THINK]"
TURN = "{% for m in messages %}<|start|>{{ m.role }}\n{% if true %}CONTENT{% endif %}<|end|>\n{% endfor %}" + REPLY
PARTS = TURN.replace(
    "CONTENT", "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
)
FIRST_PART = TURN.replace("CONTENT", "{{ m.content[0].text }}")
JOINED_PARTS = TURN.replace("CONTENT", "{{ '' + m.content[0]['text'] }}")
EITHER = TURN.replace(
    "CONTENT", "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + TURNS + REPLY
DROPS_SYSTEM = TURN.replace("m in messages", "m in messages if m.role != 'system'").replace(
    "CONTENT", "{{ m.content }}"
)
DROPS_QUESTION = "<|start|>user\n{{ messages[0].text }}<|end|>\n" + REPLY
ALTERNATES = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if m.role == 'user' %}[{{ m.content | trim }}]{% else %}{{ m.content }}{% endif %}{% endfor %}"
)
TWICE = TURN.replace("CONTENT", "{{ m.content }}\n{{ m.content }}")
ASKS_AGAIN = TURNS + "Again: {{ messages[-1].content }}\n" + REPLY
SQUEEZES = TURN.replace("CONTENT", r"{{ m.content | trim | replace('\n\n', '\n') }}")
EACH = "{{% for m in messages %}}{}{{% endfor %}}"
EMPTY_THOUGHTS = (
    TURNS.replace("{{ m.content }}", "{{ '<think></think>' if m.role == 'assistant' }}{{ m.content }}") + REPLY
)
SUMS = "{{ messages[0].content + 1 }}"
UNKNOWN = "{{ messages[0].speaker.name.first }}"
DAMAGED = "{% for m in messages %}{{ m.content }"


def tokenizer(chat_template: Any) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|start|>", "<|end|>"])
    core.add_tokens(["<think>", "</think>"])
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
    made.chat_template = chat_template
    return made


def turns(*texts: str, system: str = "") -> list[Message]:
    roles = ["user" if place % 2 == 0 else "assistant" for place in range(len(texts))]
    found = [Message(role=role, content=text) for role, text in zip(roles, texts, strict=True)]  # type: ignore[arg-type]
    return [Message(role="system", content=system), *found] if system else found


def prompt(template: Template, chat_template: Any, *texts: str, system: str = "") -> str:
    made = tokenizer(chat_template)
    return str(made.decode(template.encode(made, turns(*texts, system=system))))


def test_the_clock_stands_still() -> None:
    with fixed_clock("2031-02-03T23:59:00+00:00"):
        assert "Today: 03 Feb 2031<|end|>" in prompt(CHAT, DATED, "q")
        assert moment() == datetime(2031, 2, 3, 23, 59, tzinfo=UTC)
    assert moment() == moment() and moment().year != 2031


def test_a_model_keeps_the_date_of_its_prompts(tmp_path: Path) -> None:
    with fixed_clock("2031-02-03T12:00:00+00:00"):
        CHAT.dated(tokenizer(DATED)).save(tmp_path)
    with fixed_clock("2032-05-06T12:00:00+00:00"):
        again = Template.load(tmp_path).dated(tokenizer(DATED))
        assert again.clock == "2031-02-03T12:00:00+00:00"
        assert "03 Feb 2031" in prompt(again, DATED, "q") and "06 May 2032" in prompt(CHAT, DATED, "q")
    for template, chat_template in ((CHAT, TURNS + REPLY), (CHAT, None), (ZERO, DATED)):
        assert template.dated(tokenizer(chat_template)) is template
        assert "clock" not in template.to_json()


@pytest.mark.parametrize(
    "chat_template",
    [TURNS + REPLY, HYBRID_OFF_BY_FLAG, HYBRID_ON_BY_FLAG, ALWAYS_THINKS],
    ids=["none", "off by flag", "on by flag", "always"],
)
@pytest.mark.parametrize("question", ["Why is the sky blue, and not red?", "a", "think", "<think>", "</think>?"])
def test_exactly_one_thought_is_opened(chat_template: str, question: str) -> None:
    assert prompt(CHAT, chat_template, question) == (f"<|start|>user\n{question}<|end|>\n<|start|>assistant\n<think>\n")


def test_a_switch_of_the_other_name() -> None:
    expected = "<|start|>user\nq<|end|>\n<|start|>assistant"
    assert prompt(CHAT, HYBRID_CLOSES, "q") == expected + "<think>\n"
    assert prompt(PLAIN, HYBRID_CLOSES, "q") == expected + "</think>"


def test_a_model_that_thinks_between_marks_of_its_own() -> None:
    harmony = TURNS + "<|start|>assistant{% if false %}<|channel|>analysis<|message|>{% endif %}"
    with pytest.warns(UserWarning, match=r"thoughts with '<\|channel\|>', .* has to learn first"):
        assert prompt(CHAT, harmony, "q").endswith("<|start|>assistant<think>\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prompt(PLAIN, harmony, "q").endswith("<|start|>assistant")
        assert prompt(CHAT, ALWAYS_THINKS + "{# not [THINK] #}", "q").endswith("<think>\n")


def test_plain_asks_for_no_thinking() -> None:
    expected = "<|start|>user\nq<|end|>\n<|start|>assistant\n"
    for chat_template in (HYBRID_OFF_BY_FLAG, HYBRID_ON_BY_FLAG, ALWAYS_CLOSES):
        assert prompt(PLAIN, chat_template, "q") == expected + "<think>\n\n</think>\n\n"
    assert prompt(PLAIN, TURNS + REPLY, "q") == expected


@pytest.mark.parametrize(
    ("template", "chat_template", "message"),
    [
        (CHAT, ALWAYS_CLOSES, r"opens 2 thoughts and closes 1.*template: plain"),
        (CHAT, HYBRID_OF_ANOTHER_NAME, r"opens 2 thoughts and closes 1"),
        (PLAIN, ALWAYS_THINKS, r"'plain' is for answers without.*template: r1"),
        (CHAT, FOREIGN, r"begins a thought with '\[THINK\]'"),
        (CHAT, DAMAGED, r"damaged at line 1"),
    ],
)
def test_what_no_data_can_mend(template: Template, chat_template: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        prompt(template, chat_template, "q")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chat_template", [PARTS, FIRST_PART, JOINED_PARTS, EITHER, TURNS + REPLY])
@pytest.mark.parametrize("question", ["What is 2+3?", "x", "a", "  two\n\nlines </think> \n"])
def test_templates_that_read_parts(chat_template: str, question: str) -> None:
    for system in ("", "Be brief."):
        text = prompt(CHAT, chat_template, "one", "two", question, system=system)
        assert question in text and "one" in text and "two" in text and system in text
        assert text.endswith("<think>\n")


@pytest.mark.parametrize(
    ("chat_template", "texts", "system", "message"),
    [
        (NO_SYSTEM, ("q",), "s", "turns system, user: no system turns.*into the user's turn"),
        (DROPS_SYSTEM, ("q",), "Be brief.", "leaves the text of the system's turn out.*into the user's turn"),
        (ALTERNATES, ("q", "r", "s"), "s", "roles must alternate"),
    ],
)
def test_refusals_are_one_paragraph(chat_template: Any, texts: tuple[str, ...], system: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        prompt(CHAT, chat_template, *texts, system=system)
    assert "\n" not in str(caught.value)
    assert prompt(ZERO, chat_template, *texts, system=system).endswith("Assistant:")  # in its own words


@pytest.mark.parametrize(
    ("chat_template", "message"),
    [
        (DROPS_QUESTION, "leaves the text of the user's turn out"),
        (TWICE, "writes the text of the user's turn 2 times"),
        (ASKS_AGAIN, "writes the text of the user's turn 2 times.*in it once"),
        (SUMS, "TypeError: can only concatenate"),
        (UNKNOWN, "has no attribute 'speaker'"),
        ({"tool_use": TURNS, "rag": TURNS}, "ValueError: .*multiple chat templates"),
        ("{% for tool in tools %}{{ tool }}{% endfor %}" + TURNS + REPLY, "refuses .*without tools or documents"),
        (TURN.replace("CONTENT", "{{ m.content[:12] }}"), "leaves the text of the user's turn out"),
        (TURN.replace("CONTENT", "{{ m.content[:1] }}"), "leaves the text of the user's turn out"),
        (TURN.replace("CONTENT", "{{ m.content[:1] | tojson }}"), "leaves the text of the user's turn out"),
        ("{{ ['one', 'two', 'three'] | random }}" * 9 + TURNS + REPLY, "the same conversation otherwise each time"),
        ("{{ lipsum() }}" + TURNS + REPLY, "the same conversation otherwise each time"),
        (
            TURNS,
            r"does not begin the reply: .*ends in '<\|end\|>\\n', and .* after .*assistant",
        ),
    ],
)
@pytest.mark.parametrize("texts", [("q",), ("What is the capital of France?", "Paris.", "And of Spain, if I may ask?")])
def test_what_no_conversation_can_mend(chat_template: Any, message: str, texts: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        prompt(CHAT, chat_template, *texts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("chat_template", "ending"),
    [
        (EACH.format("{{ '[' + m.content + ']' if m.role == 'user' else ' ' + m.content }}"), "[q]"),
        (EACH.format("{{ 'U: ' + m.content + '\nA:' if m.role == 'user' else m.content + '\n' }}"), "U: q\nA:"),
        (EMPTY_THOUGHTS, "<|end|>\n<|start|>assistant\n"),
        (TURNS + REPLY, "<|end|>\n<|start|>assistant\n"),
        (TURNS + "{% if add_generation_prompt %}" + REPLY + "{% endif %}", "<|end|>\n<|start|>assistant\n"),
    ],
)
def test_templates_that_begin_the_reply_with_the_question_or_apart(chat_template: str, ending: str) -> None:
    assert prompt(CHAT, chat_template, "q").endswith(ending + "<think>\n")


def test_a_conversation_that_asks_for_no_thinking() -> None:
    assert prompt(CHAT, HYBRID_BY_WORD, "q", system="Be brief.").endswith("assistant\n<think>\n")
    assert prompt(PLAIN, HYBRID_BY_WORD, "q", system="/no_think").endswith("<think>\n\n</think>\n\n")
    for system in ("/no_think", "Answer in one line,\n\nand do not think. /no_think"):
        for chat_template in (
            HYBRID_BY_WORD,
            HYBRID_BY_WORD.replace("{{ m.content }}", "{{ m.content.split() | join(' ') }}"),
        ):
            with pytest.raises(DataError, match="opens 2 thoughts and closes 1"):
                prompt(CHAT, chat_template, "What is it,\n\nthe capital of France?", system=system)


def test_the_same_text_in_several_turns() -> None:
    again = "Say it once more, please."
    assert prompt(CHAT, TURNS + REPLY, again, again, again, system=again).count(again) == 4


OWN_END = "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|turn|>\n{% endfor %}"
BEGINS = "{% if add_generation_prompt %}" + REPLY + "{% endif %}"
LAST_TOO = "{% if add_generation_prompt %}" + REPLY + "{% else %}{{ eos_token }}{% endif %}"


@pytest.mark.parametrize(
    ("chat_template", "end"),
    [
        (OWN_END + BEGINS, "<|turn|>"),
        (OWN_END + LAST_TOO, "<|turn|>"),
        (OWN_END + REPLY, "<|end|>"),  # begins a reply unasked, after a reply too: where a turn ends is not known
        (EACH.format("{{ m.content + '<|turn|>' + ('<|start|>' if m.role == 'user' else '') }}"), "<|turn|>"),
        (TURNS + LAST_TOO, "<|end|>"),
        (EACH.format("{{ '[' + m.content + ']' if m.role == 'user' else m.content + '<|turn|>' }}"), "<|turn|>"),
        (EACH.format("<|start|>{{ m.content }}") + REPLY, "<|end|>"),
        (EACH.format("<|start|>{{ m.content }}") + BEGINS, "<|end|>"),
        (OWN_END.replace("{{ m.content }}", "{{ m.content[0].text }}") + BEGINS, "<|turn|>"),
        ("{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}" + OWN_END + BEGINS, "<|end|>"),
    ],
)
def test_a_reply_ends_as_the_chat_template_ends_it(chat_template: str, end: str) -> None:
    made = tokenizer(chat_template)
    made.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    number = made.convert_tokens_to_ids(end)
    for template in (CHAT, PLAIN):
        assert template.end_id(made) == number
        assert template.stop_ids(made) == {number, made.eos_token_id}
    assert ZERO.end_id(made) == made.eos_token_id and ZERO.stop_ids(made) == {made.eos_token_id}


def test_trimmed_texts_and_several_templates() -> None:
    assert prompt(CHAT, ALTERNATES, " q \n") == "[q]<think>\n"
    lines = "def f():\n\n  return 2 + 3\n\nWhat is f()? "
    assert prompt(CHAT, SQUEEZES, lines) == (
        "<|start|>user\ndef f():\n  return 2 + 3\nWhat is f()?<|end|>\n<|start|>assistant\n<think>\n"
    )
    assert prompt(CHAT, {"default": TURNS + REPLY, "rag": DAMAGED}, "q").startswith("<|start|>user\nq<|end|>")


def test_without_the_prefill() -> None:
    """Where a reward model begins to read the reply: before the thought, whoever opens it."""
    for chat_template in (TURNS + REPLY, ALWAYS_THINKS, HYBRID_ON_BY_FLAG):
        made = tokenizer(chat_template)
        text = made.decode(CHAT.encode(made, turns("q"), prefill=False))
        assert text.rstrip("\n") == "<|start|>user\nq<|end|>\n<|start|>assistant"


def test_answers_without_tags() -> None:
    for completion, thinking, answer in (
        ("It is 5.", None, "It is 5."),
        ("<think>2+3</think> It is 5.", "2+3", "It is 5."),
        ("2+3</think>5", None, "2+3</think>5"),
        ("R1 thinks in <think> and </think> tags.", None, "R1 thinks in <think> and </think> tags."),
        ("<think>2+3</think> Between <think> and </think>.", "2+3", "Between <think> and </think>."),
        ("<answer>5</answer>", None, "<answer>5</answer>"),
    ):
        response = PLAIN.split(completion)
        assert (response.thinking, response.answer) == (thinking, answer)
    assert PLAIN.split("It is 5.").well_formed and not CHAT.split("It is 5.").well_formed
    assert PLAIN.split("It is 5.", finished=False).answer is None and not PLAIN.split(" ").well_formed
    assert PLAIN.compose(None, " 5 ") == "5"
    assert PLAIN.spoken("<think>2</think> In <think> ...") == " In <think> ..."
    with pytest.raises(DataError, match="no place for its thinking"):
        PLAIN.compose("2+3", "5")
