"""The tokenizer's own chat template: turns in, the text of a prompt out, or one paragraph that says why not.

What it renders is a function of the turns alone: the clock stands still, a template that can think on request is asked
to (or not to), and whatever it raises, drops, writes twice or opens twice is an error.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import TemplateError, TemplateSyntaxError

from ponder.errors import DataError, ModelError, PonderError
from ponder.records import Message
from ponder.text.control import chat_source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_end", "chat_prompt"]

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
_KEPT = 256
"""Sequences of roles whose form in a template is remembered."""
Role = Literal["system", "user", "assistant"]
_SINGLE: tuple[Role, ...] = ("user",)
Form = Callable[[str], object]
"""How a turn's content is given to a template."""


def chat_prompt(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Message], *, prefill: str, thinking: bool, clock: datetime
) -> str:
    """The prompt up to where the reply begins, without the prefill. The turns' texts must not hold think tags.

    `thinking` says whether a reply begins with a thought, of which the prompt opens as much as `prefill` does. Raises
    DataError for a conversation that the template refuses, does not write every turn of once or will not have thoughts
    in, and ModelError for a template that is damaged or always opens or closes thoughts of its own.
    """
    roles = tuple(turn.role for turn in turns)
    form, usual = _read_as(tokenizer, chat_source(tokenizer), roles, thinking, clock)
    text = _rendered(tokenizer, turns, form, thinking, clock)
    squeezed = _squeezed(text)
    for turn in turns:
        if len(turn.content.strip()) >= _LONG and _squeezed(turn.content) not in squeezed:
            raise _left_out(turn.role, text)
    _check_thoughts(usual, prefill, thinking, ModelError)
    if not text.endswith(usual):  # the template listens to what this conversation says
        _check_thoughts(_after(text, turns[-1].content), prefill, thinking, DataError)
    return _without_prefill(text, prefill)


def chat_end(tokenizer: "PreTrainedTokenizerBase", *, thinking: bool, clock: datetime) -> str:
    """What the template writes after a reply, "" where it knows none or always begins another, which may be all of it.
    ModelError for a template that is of no use."""
    form, after_question = _read_as(tokenizer, chat_source(tokenizer), _SINGLE, thinking, clock)
    asked = Message(role="user", content=_PROBE.format(0))
    reply = Message(role="assistant", content=_PROBE.format("of the reply"))
    try:
        given = _rendered(tokenizer, [asked, reply], form, thinking, clock, begin=False)
    except DataError:
        return ""
    after_reply = given.partition(reply.content)[2]
    unasked = _rendered(tokenizer, [asked], form, thinking, clock, begin=False).endswith(after_question)
    return "" if unasked and after_reply == after_question else after_reply


@lru_cache(maxsize=_KEPT)
def _read_as(
    tokenizer: "PreTrainedTokenizerBase", source: str, roles: tuple[Role, ...], thinking: bool, clock: datetime
) -> tuple[Form, str]:
    """How the template (whose text is `source`) reads a turn's content, as text or as a list of parts, and what it
    writes after the last turn: shown by probes in place of the texts. ModelError for one that writes not even a single
    question as it should."""
    if roles != _SINGLE:
        _read_as(tokenizer, source, _SINGLE, thinking, clock)
    fault: PonderError | None = None
    for form in (_as_text, _as_parts):
        probes = [Message(role=role, content=_PROBE.format(place)) for place, role in enumerate(roles)]
        try:
            text = _rendered(tokenizer, probes, form, thinking, clock)
        except DataError as error:
            fault = fault or error
            continue
        wrong = [(probe.role, count) for probe in probes if (count := _times(probe.content, text)) != 1]
        if not wrong:
            tail = text.rpartition(probes[-1].content)[2]
            if roles == _SINGLE:
                _check_form(tokenizer, probes, text, form, thinking, clock)
                if thinking and not any(mark in tail for mark in _FOREIGN):  # which is refused
                    _name_other_thoughts(source)
            return form, tail
        role, count = wrong[-1]
        fault = fault or (_left_out(role, text) if count == 0 else _repeated(role, count, text))
    assert fault is not None
    if roles == _SINGLE:  # no data would help
        raise ModelError(str(fault)) from fault
    raise fault


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
    if _rendered(tokenizer, asked, form, thinking, clock) != text:
        raise ModelError(
            f"The tokenizer's chat template writes the same conversation otherwise each time, such as {text[:120]!r}, "
            f"so that no run could be repeated. Take what is random out of `chat_template` of the model's tokenizer."
        )
    if _rendered(tokenizer, asked, form, thinking, clock, begin=False) != text:
        return
    reply = Message(role="assistant", content=_PROBE.format("of the reply"))
    try:
        given = _rendered(tokenizer, [*asked, reply], form, thinking, clock, begin=False)
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


def _rendered(
    tokenizer: "PreTrainedTokenizerBase",
    turns: Sequence[Message],
    form: Form,
    thinking: bool,
    clock: datetime,
    begin: bool = True,
) -> str:
    """What the template makes of the turns, with the beginning of a reply if `begin` says so."""
    variables: dict[str, Any] = dict.fromkeys(_SWITCHES, thinking) | {"strftime_now": clock.strftime}
    chat: Any = [{"role": turn.role, "content": form(turn.content)} for turn in turns]
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=begin, **variables))
    except TemplateSyntaxError as error:
        raise ModelError(
            f"The tokenizer's chat template is damaged at line {error.lineno}: {str(error.message).rstrip('.')}. "
            f"Expected a Jinja template: fetch `chat_template` of the model's tokenizer again."
        ) from error
    except _FAULTS as error:
        raise DataError(_refusal([turn.role for turn in turns], error)) from error


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


def _without_prefill(text: str, prefill: str) -> str:
    """Some chat templates end with the prefill, or with a part of it, and some do not."""
    tag = prefill.rstrip()
    bare = text.rstrip()
    return bare.removesuffix(tag) if tag and bare.endswith(tag) else text


def _check_thoughts(after: str, prefill: str, thinking: bool, kind: type[PonderError]) -> None:
    """What stands after the question, prefill included, opens just the thought that the reply goes on with."""
    after = _without_prefill(after, prefill) + prefill
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
