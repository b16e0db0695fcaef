"""The template as a Jinja chat template: what programs that do not know ponder render conversations with.

    Template + tokenizer -> text of chat_template.jinja, compared with `Template.encode` before anybody gets it

A template with words of its own is its fields and one program that puts them together. One that speaks through the
tokenizer's chat template stands around that: thinking of earlier turns is taken out before it, the prefill put behind
it, the date it was trained with written into it.

What Jinja cannot do: keep what users type apart from control tokens. A control token spelt in a message is text in
`Template.encode` and becomes the token in other programs.
"""

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from ponder.errors import DataError, ModelError
from ponder.records import Message
from ponder.text.chat import chat_opening
from ponder.text.clock import moment
from ponder.text.control import chat_source
from ponder.text.template import Template, begin_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_jinja", "own_chat_template"]

_KEPT = 8
_CLOCK = re.compile(r"""strftime_now\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
_FAULTS = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What running a chat template raises."""

_HEAD = """\
{#- Prompts in the form NAME, as ponder trained this model with them. A control token that a message spells becomes that
    token here; only ponder itself reads it as text. -#}
{%- set form = FORM -%}
{%- set at = namespace(spoken=0, said=[], turns=[]) -%}
"""
_CONTENT = """\
    {%- if message.content is string or not message.content -%}
        {%- set content = message.content or '' -%}
    {%- else -%}
        {%- set content = message.content | map(attribute='text') | join -%}
    {%- endif -%}
"""
_OWN_WORDS = """\
{%- set roles = messages | rejectattr('role', 'equalto', 'system') | map(attribute='role') | list -%}
{%- if not roles or roles[0] != 'user' -%}
    {{- raise_exception('A conversation begins with what a user says.') -}}
{%- elif add_generation_prompt and messages[-1].role != 'user' -%}
    {{- raise_exception('A prompt ends with what a user says, for the model to reply to.') -}}
{%- elif tools -%}
    {{- raise_exception('This form of prompts has no place for tools.') -}}
{%- endif -%}
{{- (bos_token if form.begin else '') ~ form.opening -}}
{%- for message in messages -%}
CONTENT\
    {%- if message.role == 'assistant' -%}
        {%- set at.spoken = at.spoken + 1 -%}
        {%- if form.drop and not loop.last -%}
            {%- set content = (content.split('</think>')[-1]).split('<think>')[0] | trim -%}
        {%- elif form.think and message.reasoning_content -%}
            {%- set content = form.think[0] ~ (message.reasoning_content | trim) ~ form.think[1] ~ (content | trim)
                ~ form.think[2] -%}
        {%- endif -%}
        {{- form.before_assistant ~ content ~ (form.end if loop.last else form.after_assistant) -}}
    {%- elif message.role == 'user' or message.role == 'system' -%}
        {%- set at.said = at.said + [content] -%}
        {%- if message.role == 'user' -%}
            {%- set at.spoken = at.spoken + 1 -%}
            {%- if at.spoken == roles | length or roles[at.spoken] != 'user' -%}
                {{- form.before_user ~ (at.said | join('\\n\\n')) ~ form.after_user -}}
                {%- set at.said = [] -%}
            {%- endif -%}
        {%- endif -%}
    {%- else -%}
        {{- raise_exception('Expected turns of system, user and assistant, got one of ' ~ message.role ~ '.') -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- form.prefill -}}{%- endif -%}
"""
_AROUND = """\
{%- if enable_thinking is not defined -%}{%- set enable_thinking = form.thinking -%}{%- endif -%}
{%- if thinking is not defined -%}{%- set thinking = form.thinking -%}{%- endif -%}
{%- for message in messages -%}
CONTENT\
    {%- if message.role == 'assistant' and not loop.last -%}
        {%- set content = (content.split('</think>')[-1]).split('<think>')[0] | trim -%}
    {%- elif message.content is not string -%}
        {%- set content = message.content -%}
    {%- endif -%}
    {%- if form.parts and content is string -%}{%- set content = [{'type': 'text', 'text': content}] -%}{%- endif -%}
    {%- set at.turns = at.turns + [dict(message, content=content)] -%}
{%- endfor -%}
{%- set messages = at.turns %}
"""
"""Its last line ends as it does because blanks at the beginning of what follows mean something."""
_FINAL_LINE = re.compile(r"(?:\r\n|\r|\n)\Z")
"""Jinja leaves out one end of a line at a text's end."""
_BEHIND = "{{ form.prefill if add_generation_prompt and enable_thinking == form.thinking else '' }}"


def chat_jinja(template: Template, tokenizer: "PreTrainedTokenizerBase", end_id: int) -> str:
    """The chat template that renders the prompts of `template`, which is the tokenizer's own, as it is, where that does
    so already; `end_id` stands after a reply at the end. ModelError where no Jinja text gives the same ids."""
    return _chat_jinja(template, tokenizer, chat_source(tokenizer), end_id)


def own_chat_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The tokenizer's own chat template, of several the one for conversations without tools; None where it has none."""
    named: Any = tokenizer.chat_template
    return named.get("default") if isinstance(named, dict) else named


@lru_cache(maxsize=_KEPT)
def _chat_jinja(template: Template, tokenizer: Any, source: str, end_id: int) -> str:
    own = own_chat_template(tokenizer)
    if own is not None and template.uses_chat_template(tokenizer):
        if "strftime_now" not in own and _difference(template, tokenizer, own) is None:
            return own
        written = _around(template, tokenizer, own)
    else:
        written = _own_words(template, tokenizer, end_id)
    difference = _difference(template, tokenizer, written)
    if difference is not None:
        raise ModelError(
            f"The prompts of template {template.name!r} cannot be written as a Jinja chat template for this tokenizer: "
            f"{difference}. Give other programs the prompts as ids, as ponder makes them."
        )
    return written


def _own_words(template: Template, tokenizer: "PreTrainedTokenizerBase", end_id: int) -> str:
    begin = begin_id(tokenizer) is not None and not template.opening.startswith(str(tokenizer.bos_token))
    form = {
        "begin": begin,
        "opening": template.opening,
        "before_user": template.before_user,
        "after_user": template.after_user,
        "before_assistant": template.before_assistant,
        "after_assistant": template.after_assistant,
        "prefill": template.prefill,
        "end": tokenizer.convert_ids_to_tokens(end_id),
        "think": template.marks or (),
        "drop": template.chat,
    }
    return _filled(template, form, _OWN_WORDS)


def _around(template: Template, tokenizer: "PreTrainedTokenizerBase", own: str) -> str:
    clock = moment() if template.clock is None else datetime.fromisoformat(template.clock)
    parts, given, wanted = chat_opening(tokenizer, prefill=template.prefill, thinking=template.thinking, clock=clock)
    if not wanted.startswith(given):
        raise ModelError(
            f"The tokenizer's chat template ends prompts in {given!r} and ponder's prompts end in {wanted!r}, which no "
            f"text behind it can make of it. Let `chat_template` of the model's tokenizer end in {wanted!r}."
        )
    form = {"prefill": wanted.removeprefix(given), "parts": parts, "thinking": template.thinking}
    dated = _CLOCK.sub(lambda call: json.dumps(clock.strftime(call[1] or call[2]), ensure_ascii=False), own)
    return _filled(template, form, _AROUND) + _FINAL_LINE.sub("", dated) + _BEHIND


def _filled(template: Template, form: object, program: str) -> str:
    head = _HEAD.replace("NAME", repr(template.name)).replace("FORM", json.dumps(form, ensure_ascii=False))
    return head + program.replace("CONTENT", _CONTENT)


def _difference(template: Template, tokenizer: Any, jinja: str) -> str | None:
    """How the ids that it renders differ from the template's own, on the first conversation where they do."""
    marks = template.marks if template.marks and not template.chat else _OTHERS
    thought = marks[0] + "Two and three." + marks[1] + "Five." + marks[2]
    for messages in (*_CONVERSATIONS, _said("What is 2 + 3?", thought, "And 3 + 4?", " 7 ", "Why?")):
        try:
            wanted = list(template.encode(tokenizer, messages))
        except DataError:
            continue  # refused, as it may be here
        chat: Any = [{"role": one.role, "content": one.content} for one in messages]
        try:
            got = tokenizer.apply_chat_template(
                chat, chat_template=jinja, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        except _FAULTS as error:
            return f"it fails on turns of {', '.join(one.role for one in messages)} with {error}"
        if list(got) != wanted:
            return f"it writes {tokenizer.decode(got)!r} in place of {tokenizer.decode(wanted)!r}"
    return None


def _said(*turns: str) -> tuple[Message, ...]:
    """User and assistant by turns; a system turn begins with a colon."""
    found: list[Message] = []
    for turn in turns:
        if turn.startswith(":"):
            found.append(Message(role="system", content=turn[1:]))
        else:
            reply = any(one.role != "system" for one in found) and found[-1].role == "user"
            found.append(Message(role="assistant" if reply else "user", content=turn))
    return tuple(found)


_OTHERS = ("<think>\n", "\n</think>\n\n", "")
"""Marks of a thought that a chat drops, whoever thought it."""
_CONVERSATIONS = (
    _said("What is 2 + 3?"),
    _said("  \u4e8c\u52a0\u4e09\u7b49\u4e8e\u591a\u5c11\uff1f\n"),
    _said("{{ 7 * 6 }} {% raw %} {# 1 #}"),
    _said(":Be brief.", "What is 2 + 3?"),
    (*_said("Listen."), *_said("What is 2 + 3?")),
    (*_said(":Be brief.", "Hello", "Hi", ":Be kind."), *_said("What is 2 + 3?")),
)
"""What is compared before a chat template is given away."""
