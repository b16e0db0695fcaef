"""The tokenizer's own chat template: turns in, the text of a prompt out, or one paragraph that says why not.

What it renders is a function of the turns alone: the clock stands still, a template that can think on request is asked
to (or not to), and whatever it raises, drops, or opens twice is an error.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError, TemplateSyntaxError

from ponder.errors import DataError, ModelError, PonderError
from ponder.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_prompt"]

_FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What running a chat template raises: its own refusals, and whatever its expressions stumble over."""
_SWITCHES = ("enable_thinking", "thinking")
"""Names under which templates are told whether the reply begins with a thought."""
_OPEN, _CLOSE = "<think>", "</think>"
_FOREIGN = ("[THINK]", "<|START_THINKING|>", "<seed:think>", "\u25c1think\u25b7", "<thought>", "<|channel|>analysis")
"""Beginnings of a thought that ponder does not read."""
_LONG = 20
"""A text of as many characters does not occur by chance in what a template writes."""
_PROBE = "(here stands what turn {} says)"


def chat_prompt(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Message], *, prefill: str, thinking: bool, clock: datetime
) -> str:
    """The prompt up to where the reply begins, without the prefill. The turns' texts must not hold think tags.

    `thinking` says whether a reply begins with a thought, of which the prompt opens as much as `prefill` does. Raises
    DataError for a conversation that the template refuses, leaves a turn of out or will not have thoughts in, and
    ModelError for a template that is damaged or always opens or closes thoughts of its own.
    """
    variables = dict.fromkeys(_SWITCHES, thinking) | {"strftime_now": clock.strftime}
    text, probed, probes = _rendered(tokenizer, turns, variables)
    usual = probed.rpartition(probes[-1].content.strip())[2]
    _check_thoughts(usual, prefill, thinking, ModelError)
    if not text.endswith(usual):  # the template listens to what this conversation says
        _check_thoughts(text.rpartition(turns[-1].content.strip())[2], prefill, thinking, DataError)
    return _without_prefill(text, prefill)


def _rendered(
    tokenizer: "PreTrainedTokenizerBase", turns: Sequence[Message], variables: Mapping[str, Any]
) -> tuple[str, str, Sequence[Message]]:
    """The text with every turn in it; and, to tell where they stand, the same with probes in place of short texts.

    Some templates read a turn's content as text, others as a list of parts.
    """
    probes = [
        turn if len(turn.content.strip()) >= _LONG else Message(role=turn.role, content=_PROBE.format(place))
        for place, turn in enumerate(turns)
    ]
    fault: PonderError | None = None
    for form in (_as_text, _as_parts):

        def render(these: Sequence[Message], form: Callable[[str], object] = form) -> str:
            chat: Any = [{"role": turn.role, "content": form(turn.content)} for turn in these]
            return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **variables))

        try:
            text = render(turns)
            probed = text if probes == turns else render(probes)
        except TemplateSyntaxError as error:
            raise ModelError(
                f"The tokenizer's chat template is damaged at line {error.lineno}: {str(error.message).rstrip('.')}. "
                f"Expected a Jinja template: fetch `chat_template` of the model's tokenizer again."
            ) from error
        except _FAULTS as error:
            fault = fault or DataError(_refusal(turns, error))
            continue
        left_out = [probe.role for probe in probes if probe.content.strip() not in probed]
        if not left_out:
            return text, probed, probes
        fault = fault or DataError(
            f"The tokenizer's chat template leaves the text of the {left_out[-1]}'s turn out of the prompt, which "
            f"begins {text[:120]!r}. Expected every turn in it: mend `chat_template` of the model's tokenizer"
            + (", or put what the system turn says into the user's turn." if left_out[-1] == "system" else ".")
        )
    assert fault is not None
    raise fault


def _as_text(content: str) -> object:
    return content


def _as_parts(content: str) -> object:
    return [{"type": "text", "text": content}]


def _refusal(turns: Sequence[Message], error: Exception) -> str:
    roles = [turn.role for turn in turns]
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if not isinstance(error, TemplateError):
        reason = f"{type(error).__name__}: {reason}"
    advice = (
        "Put what the system turn says into the user's turn, or use a model whose template knows system turns."
        if "system" in roles
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
