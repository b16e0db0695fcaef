"""Tools in the tokenizer's own chat template: how it writes calls, and what it puts between two replies."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from ponder.errors import ModelError, PonderError
from ponder.records import Message, Tool
from ponder.text.calls import FORMS, CallForm
from ponder.text.chat import (
    KEPT,
    PROBED,
    SINGLE,
    Form,
    Shape,
    chat_end,
    check_thoughts,
    check_words,
    marks_of,
    probe_of,
    read_as,
    rendered,
    without_prefill,
)
from ponder.text.control import chat_source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_answer", "chat_calls", "chat_reply"]

_THOUGHT_ENDS = "</think>"


def chat_answer(
    tokenizer: "PreTrainedTokenizerBase",
    answers: Sequence[Message],
    *,
    prefill: str,
    thinking: bool,
    clock: datetime,
    tools: Sequence[Tool] = (),
) -> str:
    """What the template writes between a reply and the next one, where `answers` are what is said to the first: results
    of its calls, or turns of the user. It begins with the end of the first reply, and has no prefill. Raises as
    `chat_prompt` does."""
    calls = sum(answer.role == "tool" for answer in answers)
    reply = probe_of(Shape("assistant", calls, calls == 0), "of the reply")
    turns = [probe_of(SINGLE[0], "of the question"), reply, *answers]
    shapes = tuple(map(Shape.of, turns))
    form, usual = read_as(tokenizer, chat_source(tokenizer), shapes, thinking, clock, bool(tools))
    text = rendered(tokenizer, turns, form, thinking, clock, tools=tools)
    check_words(answers, text)
    last = marks_of(reply)[-1]
    after = text.partition(last)[2]
    reply_alone = rendered(tokenizer, turns[:2], form, thinking, clock, begin=False, tools=tools).partition(last)[2]
    end = chat_end(tokenizer, thinking=thinking, clock=clock)
    if not (after.startswith(reply_alone) and reply_alone.endswith(end)):
        raise ModelError(
            f"The tokenizer's chat template ends a reply with {reply_alone[-80:]!r} where nothing follows, and with "
            f"{after[:80]!r} before its answer, so that no conversation can be continued. Expected the same: mend "
            f"`chat_template` of the model's tokenizer."
        )
    check_thoughts(usual, prefill, thinking, ModelError)
    return without_prefill(end + after.removeprefix(reply_alone), prefill)


def chat_reply(
    tokenizer: "PreTrainedTokenizerBase",
    reply: Message,
    *,
    thinking: bool,
    clock: datetime,
    tools: Sequence[Tool] = (),
) -> str:
    """What the template writes of a reply with calls, between thinking and end. Raises as `chat_prompt` does."""
    question, result = probe_of(SINGLE[0], "of the question"), probe_of(Shape("tool"), "of the result")
    turns = [question, reply, *[result] * len(reply.tool_calls)]
    form, _ = read_as(tokenizer, chat_source(tokenizer), tuple(map(Shape.of, turns)), thinking, clock, bool(tools))
    alone = rendered(tokenizer, turns[:2], form, thinking, clock, begin=False, tools=tools)
    check_words([reply], alone)
    return _wrote(tokenizer, alone, question, form, thinking, clock, tools)


def _wrote(
    tokenizer: "PreTrainedTokenizerBase",
    alone: str,
    question: Message,
    form: Form,
    thinking: bool,
    clock: datetime,
    tools: Sequence[Tool],
) -> str:
    """The reply in a rendered conversation of a question and a reply."""
    begun = rendered(tokenizer, (question,), form, thinking, clock, tools=tools)
    wrote = alone.removeprefix(begun) if alone.startswith(begun) else alone.partition(question.content)[2]
    end = chat_end(tokenizer, thinking=thinking, clock=clock)
    return wrote.removesuffix(end).rpartition(_THOUGHT_ENDS)[2]


@lru_cache(maxsize=KEPT)
def chat_calls(tokenizer: "PreTrainedTokenizerBase", source: str, thinking: bool, clock: datetime) -> CallForm | None:
    """The form in which the template (whose text is `source`) writes calls; None for one that does not write tools,
    calls or results, or calls that cannot be read back."""
    if "tool" not in source:
        return None
    question = probe_of(SINGLE[0], "of the question")
    reply = probe_of(Shape("assistant", 1, False), "of the reply")
    result = probe_of(Shape("tool"), "of the result")
    try:
        form, _ = read_as(tokenizer, source, tuple(map(Shape.of, (question, reply, result))), thinking, clock, True)
        text = rendered(tokenizer, (question, reply, result), form, thinking, clock, tools=(PROBED,))
        chat_answer(tokenizer, [result], prefill="", thinking=thinking, clock=clock, tools=(PROBED,))
        alone = rendered(tokenizer, (question, reply), form, thinking, clock, begin=False, tools=(PROBED,))
        wrote = _wrote(tokenizer, alone, question, form, thinking, clock, (PROBED,))
    except PonderError:
        return None
    if not all(one in text for one in (PROBED.name, PROBED.description, *PROBED.parameters["properties"])):
        return None
    calls = [(call.name, call.values) for call in reply.tool_calls]
    for known in FORMS.values():
        reading = known.reader(wrote, {PROBED.name: PROBED})  # its own marks, which `read` does without
        if not reading.faults and [(call.name, call.values) for call in reading.calls] == calls:
            return known
    return None
