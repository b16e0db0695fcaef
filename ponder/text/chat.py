"""The tokenizer's own chat template: turns in, the text of a prompt out, or one paragraph that says why not.

What it renders is a function of the turns alone: the clock stands still, a template that can think on request is asked
to (or not to), and whatever it raises, drops, writes twice or opens twice is an error.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from jinja2 import TemplateError, TemplateSyntaxError

from ponder.errors import DataError, ModelError, PonderError
from ponder.records import Message, Tool, ToolCall
from ponder.text.calls import json_text
from ponder.text.control import chat_source
from ponder.text.tools import declaration

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_end", "chat_opening", "chat_prompt"]

_FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What running a chat template raises: its own refusals, and whatever its expressions stumble over."""
_SWITCHES = ("enable_thinking", "thinking")
"""Names under which templates are told whether the reply begins with a thought."""
_OPEN, _CLOSE = "<think>", "</think>"
_FOREIGN = ("[THINK]", "<|START_THINKING|>", "<seed:think>", "\u25c1think\u25b7", "<thought>", "<|channel|>analysis")
"""Beginnings of a thought that ponder does not read."""
_MARKS = ("[THINK]", "<|START_THINKING|>", "<seed:think>", "\u25c1think\u25b7", "<|channel|>", "<|channel>")
"""Where these stand in a chat template, the model thinks between them."""
_LONG = 20
"""A text of as many characters does not occur by chance in what a template writes."""
_PROBE = "(here stands what turn {} says)"
KEPT = 256
"""Sequences of roles whose form in a template is remembered."""
PROBED = Tool(
    name="probed_tool",
    description=_PROBE.format("of the tool"),
    parameters={
        "type": "object",
        "properties": {"probed_key": {"type": "string", "description": _PROBE.format("of the key")}},
        "required": ["probed_key"],
    },
)


class Shape(NamedTuple):
    """A turn as far as a template's form depends on it: who speaks, how many calls it holds, whether it says more."""

    role: Literal["system", "user", "assistant", "tool"]
    calls: int = 0
    says: bool = True

    @classmethod
    def of(cls, turn: Message) -> "Shape":
        return cls(turn.role, len(turn.tool_calls), not turn.tool_calls or bool(turn.content.strip()))


SINGLE = (Shape("user"),)


@dataclass(frozen=True, slots=True)
class Form:
    """How a turn's content, and the arguments of its calls, are given to a template."""

    content: Callable[[str], object]
    arguments: Callable[[ToolCall], object]


def chat_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    turns: Sequence[Message],
    *,
    prefill: str,
    thinking: bool,
    clock: datetime,
    tools: Sequence[Tool] = (),
) -> str:
    """The prompt up to where the reply begins, without the prefill. The turns' texts must not hold think tags.

    `thinking` says whether a reply begins with a thought, of which the prompt opens as much as `prefill` does. Raises
    DataError for a conversation that the template refuses, does not write every turn of once or will not have thoughts
    in, and ModelError for a template that is damaged or always opens or closes thoughts of its own.
    """
    shapes = tuple(map(Shape.of, turns))
    form, usual = read_as(tokenizer, chat_source(tokenizer), shapes, thinking, clock, bool(tools))
    text = rendered(tokenizer, turns, form, thinking, clock, tools=tools)
    check_words(turns, text)
    check_thoughts(usual, prefill, thinking, ModelError)
    if not text.endswith(usual):  # the template listens to what this conversation says
        check_thoughts(_after(text, turns[-1].content), prefill, thinking, DataError)
    return without_prefill(text, prefill)


def chat_end(tokenizer: "PreTrainedTokenizerBase", *, thinking: bool, clock: datetime) -> str:
    """What the template writes after a reply, "" where it knows none or always begins another, which may be all of it.
    ModelError for a template that is of no use."""
    form, after_question = read_as(tokenizer, chat_source(tokenizer), SINGLE, thinking, clock)
    asked = Message(role="user", content=_PROBE.format(0))
    reply = Message(role="assistant", content=_PROBE.format("of the reply"))
    try:
        given = rendered(tokenizer, [asked, reply], form, thinking, clock, begin=False)
    except DataError:
        return ""
    after_reply = given.partition(reply.content)[2]
    unasked = rendered(tokenizer, [asked], form, thinking, clock, begin=False).endswith(after_question)
    return "" if unasked and after_reply == after_question else after_reply


def chat_opening(
    tokenizer: "PreTrainedTokenizerBase", *, prefill: str, thinking: bool, clock: datetime
) -> tuple[bool, str, str]:
    """Whether the template wants contents as lists of parts; what it writes after a question; and what stands there in
    a prompt, prefill included."""
    form, given = read_as(tokenizer, chat_source(tokenizer), SINGLE, thinking, clock)
    return isinstance(form.content(""), list), given, without_prefill(given, prefill) + prefill


@lru_cache(maxsize=KEPT)
def read_as(
    tokenizer: "PreTrainedTokenizerBase",
    source: str,
    roles: tuple[Shape, ...],
    thinking: bool,
    clock: datetime,
    declares: bool = False,
) -> tuple[Form, str]:
    """How the template (whose text is `source`) reads a turn's content, as text or as a list of parts, and what it
    writes after the last turn: shown by probes in place of the texts. ModelError for one that writes not even a single
    question as it should."""
    is_single = roles == SINGLE and not declares
    if not is_single:
        read_as(tokenizer, source, SINGLE, thinking, clock)
    fault: PonderError | None = None
    probes = [probe_of(shape, str(place)) for place, shape in enumerate(roles)]
    tools = (PROBED,) if declares else ()
    for form in _FORMS_OF_CALLS if any(shape.calls for shape in roles) else _FORMS_OF_TURNS:
        try:
            text = rendered(tokenizer, probes, form, thinking, clock, tools=tools)
        except DataError as error:
            fault = fault or error
            continue
        wrong = [
            (probe.role, count) for probe in probes for mark in marks_of(probe) if (count := _times(mark, text)) != 1
        ]
        if not wrong and any(_quoted_twice(marks_of(probe)[-1], text) for probe in probes if probe.tool_calls):
            fault = fault or DataError("The tokenizer's chat template does not write the arguments of calls as JSON.")
            continue
        if not wrong:
            tail = text.rpartition(marks_of(probes[-1])[0])[2]
            if is_single:
                _check_form(tokenizer, probes, text, form, thinking, clock)
                if thinking and not any(mark in tail for mark in _FOREIGN):  # which is refused
                    _name_other_thoughts(source)
            return form, tail
        role, count = wrong[-1]
        fault = fault or (_left_out(role, text) if count == 0 else _repeated(role, count, text))
    assert fault is not None
    if is_single:  # no data would help
        raise ModelError(str(fault)) from fault
    raise fault


def probe_of(shape: Shape, place: str) -> Message:
    """A turn of that shape whose texts are probes."""
    calls = tuple(
        ToolCall(
            name=PROBED.name,
            arguments=json_text({"probed_key": _PROBE.format(f"{place}, call {number},")}),
            id=f"call{number:05}",  # nine letters and digits, which is what some templates ask for
        )
        for number in range(shape.calls)
    )
    return Message(
        role=shape.role,
        content=_PROBE.format(place) if shape.says else "",
        tool_calls=calls,
        tool_call_id="call00000" if shape.role == "tool" else "",
        name=PROBED.name if shape.role == "tool" else "",
    )


def marks_of(probe: Message) -> list[str]:
    """The texts of a probe, its content first."""
    said = [probe.content] if probe.content or not probe.tool_calls else []
    return [*said, *(str(call.values["probed_key"]) for call in probe.tool_calls)]


def _quoted_twice(mark: str, text: str) -> bool:
    """Whether an argument is written as JSON within JSON, or as Python."""
    return any(quote + mark in text for quote in ('\\"', "'"))


def check_words(turns: Sequence[Message], text: str) -> None:
    squeezed = _squeezed(text)
    for turn in turns:
        if len(turn.content.strip()) >= _LONG and _squeezed(turn.content) not in squeezed:
            raise _left_out(turn.role, text)


def _name_other_thoughts(source: str) -> None:
    """Say where a model has been taught to think between marks of its own."""
    if _OPEN not in source and (mark := next((one for one in _MARKS if one in source), None)) is not None:
        warnings.warn(
            f"The tokenizer's chat template writes thoughts with {mark!r}, and a reply is asked for here whose thought "
            f"stands between {_OPEN!r} and {_CLOSE!r}, which the model has to learn first. Set `template: plain` to "
            f"let it answer without a thought.",
            stacklevel=2,
        )


def _times(probe: str, text: str) -> int:
    """How often a probe stands in a text; as a part printed with its braces and quotes it does not."""
    return text.count(probe) - len(re.findall(r"""["']text["']: ["']""" + re.escape(probe), text))


def _check_form(
    tokenizer: "PreTrainedTokenizerBase",
    asked: Sequence[Message],
    text: str,
    form: Form,
    thinking: bool,
    clock: datetime,
) -> None:
    """ModelError for a template that draws at random, or does not begin the reply as those that were given."""
    if rendered(tokenizer, asked, form, thinking, clock) != text:
        raise ModelError(
            f"The tokenizer's chat template writes the same conversation otherwise each time, such as {text[:120]!r}, "
            f"so that no run could be repeated. Take what is random out of `chat_template` of the model's tokenizer."
        )
    if rendered(tokenizer, asked, form, thinking, clock, begin=False) != text:
        return
    reply = Message(role="assistant", content=_PROBE.format("of the reply"))
    try:
        given = rendered(tokenizer, [*asked, reply], form, thinking, clock, begin=False)
    except DataError:
        return  # knows no replies, which conversations that hold some will show
    question = asked[-1].content
    before, _, after = given.partition(question)[2].partition(reply.content)
    now = text.partition(question)[2]
    ends = before.startswith(now) and _squeezed(after) == _squeezed(now)  # the question's turn, as that of a reply does
    if ends and _squeezed(before.replace(_OPEN, "").replace(_CLOSE, "")) != _squeezed(now):
        raise ModelError(
            f"The tokenizer's chat template does not begin the reply: the prompt ends in {now!r}, and a reply that was "
            f"given stands after {before!r}. Let `chat_template` of the model's tokenizer write that where "
            f"`add_generation_prompt` is true."
        )


def rendered(
    tokenizer: "PreTrainedTokenizerBase",
    turns: Sequence[Message],
    form: Form,
    thinking: bool,
    clock: datetime,
    begin: bool = True,
    tools: Sequence[Tool] = (),
) -> str:
    """What the template makes of the turns, with the beginning of a reply if `begin` says so."""
    variables: dict[str, Any] = dict.fromkeys(_SWITCHES, thinking) | {"strftime_now": clock.strftime}
    if tools:
        variables["tools"] = [declaration(tool) for tool in tools]
    chat: Any = [_given(turn, form) for turn in turns]
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=begin, **variables))
    except TemplateSyntaxError as error:
        raise ModelError(
            f"The tokenizer's chat template is damaged at line {error.lineno}: {str(error.message).rstrip('.')}. "
            f"Expected a Jinja template: fetch `chat_template` of the model's tokenizer again."
        ) from error
    except _FAULTS as error:
        raise DataError(_refusal([turn.role for turn in turns], error)) from error


def _given(turn: Message, form: Form) -> dict[str, object]:
    """A turn as templates are given it."""
    given: dict[str, object] = {"role": turn.role, "content": form.content(turn.content)}
    if turn.tool_calls:
        given["tool_calls"] = [
            {
                "id": call.id or f"call{number:05}",
                "type": "function",
                "function": {"name": call.name, "arguments": form.arguments(call)},
            }
            for number, call in enumerate(turn.tool_calls)
        ]
    if turn.role == "tool":
        given["tool_call_id"] = turn.tool_call_id or "call00000"
        if turn.name:
            given["name"] = turn.name
    return given


def _left_out(role: str, text: str) -> DataError:
    return DataError(
        f"The tokenizer's chat template leaves the text of the {role}'s turn out of the prompt, which begins "
        f"{text[:120]!r}. Expected every turn in it: mend `chat_template` of the model's tokenizer"
        + (", or put what the system turn says into the user's turn." if role == "system" else ".")
    )


def _repeated(role: str, count: int, text: str) -> DataError:
    return DataError(
        f"The tokenizer's chat template writes the text of the {role}'s turn {count} times into the prompt, which "
        f"begins {text[:120]!r}. Expected every turn in it once: mend `chat_template` of the model's tokenizer."
    )


def _squeezed(text: str) -> str:
    """The text with its blanks as a template may write them anew."""
    return " ".join(text.split())


def _after(text: str, content: str) -> str:
    """What stands after the last place where a text has the content, whatever its blanks."""
    words = r"\s+".join(map(re.escape, content.split()))
    return text[max((found.end() for found in re.finditer(words, text)), default=0) :]


def _as_text(content: str) -> object:
    return content


def _as_parts(content: str) -> object:
    return [{"type": "text", "text": content}]


_FORMS_OF_TURNS = tuple(Form(content, lambda call: call.values) for content in (_as_text, _as_parts))
_FORMS_OF_CALLS = (*_FORMS_OF_TURNS, *(Form(form.content, lambda call: call.arguments) for form in _FORMS_OF_TURNS))


def _refusal(roles: Sequence[str], error: Exception) -> str:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if not isinstance(error, TemplateError):
        reason = f"{type(error).__name__}: {reason}"
    advice = (
        "Put what the system turn says into the user's turn, or use a model whose template knows system turns."
        if "system" in roles
        else "Mend `chat_template` of the model's tokenizer: it must take a question alone, without tools or documents."
        if len(roles) == 1
        else "Leave such conversations out of the data, or mend `chat_template` of the model's tokenizer."
    )
    return f"The tokenizer's chat template refuses a conversation of the turns {', '.join(roles)}: {reason}. {advice}"


def without_prefill(text: str, prefill: str) -> str:
    """Some chat templates end with the prefill, or with a part of it, and some do not."""
    tag = prefill.rstrip()
    bare = text.rstrip()
    return bare.removesuffix(tag) if tag and bare.endswith(tag) else text


def check_thoughts(after: str, prefill: str, thinking: bool, kind: type[PonderError]) -> None:
    """What stands after the question, prefill included, opens just the thought that the reply goes on with."""
    after = without_prefill(after, prefill) + prefill
    opened, closed, foreign = after.count(_OPEN), after.count(_CLOSE), [mark for mark in _FOREIGN if mark in after]
    wanted = prefill.count(_OPEN)
    ended = after.rfind(_OPEN) <= after.rfind(_CLOSE)  # an empty thought, or a closing tag alone, says not to think
    if not foreign and (opened == wanted and closed == 0 if thinking else ended):
        return
    got = f"The tokenizer's chat template ends the prompt in {after!r}, prefill included: "
    if foreign:
        raise kind(
            f"{got}it begins a thought with {foreign[0]!r}, which ponder does not read. Expected {_OPEN!r} or nothing: "
            f"take that mark out of `chat_template` of the model's tokenizer."
        )
    if thinking:
        raise kind(
            f"{got}it opens {opened} thoughts and closes {closed}. Expected {wanted} opened and none closed. Set "
            f"`template: plain` for a model that is to answer without thinking, or take the tags out of "
            f"`chat_template` of the model's tokenizer."
        )
    raise kind(
        f"{got}it opens a thought, but template 'plain' is for answers without one. Set `template: r1`, or take the "
        f"tag out of `chat_template` of the model's tokenizer."
    )
