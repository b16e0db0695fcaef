"""Tools that a request offers: what the prompt says of them, and what makes the reply call one.

tools, tool_choice -> Offer: the tools to declare, and the grammar of a call where there must be one
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ponder.policy.voice import Voice
from ponder.records import Tool
from ponder.serve.fault import Fault
from ponder.serve.formats import checked
from ponder.serve.grammar import alternatives
from ponder.serve.guide import GrammarGuide
from ponder.serve.wire import ChatRequest, ToolName
from ponder.text.calls import json_text

__all__ = ["Offer", "offer_of"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Tools that a reply may call, and what guides it to: None where it is free to."""

    tools: tuple[Tool, ...] = ()
    guide: GrammarGuide | None = None


async def offer_of(asked: ChatRequest, voice: Voice) -> Offer:
    """What a request offers; Fault for tools that cannot be offered so."""
    offered = asked.tools or ()
    names = [one.function.name for one in offered]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            raise Fault(
                400,
                f"The tool {name!r} cannot be called so: names are letters, digits, '_', '-' and '.', at most 64, and "
                f"differ.",
                param="tools",
            )
    choice = asked.tool_choice if asked.tool_choice is not None else "auto" if offered else "none"
    if choice == "none" or (choice == "auto" and not offered):
        return Offer()
    if not offered:
        raise Fault(400, "tool_choice asks for a call, and there are no tools.", param="tool_choice")
    tools = tuple(
        Tool(
            name=one.function.name,
            description=one.function.description or "",
            parameters=one.function.parameters or {"type": "object", "properties": {}},
        )
        for one in offered
    )
    if isinstance(choice, ToolName):
        tools_called = [tool for tool in tools if tool.name == choice.function.name]
        if not tools_called:
            raise Fault(400, f"tool_choice names {choice.function.name!r}, which is no tool.", param="tool_choice")
    else:
        tools_called = list(tools)
    free = choice == "auto" and not any(one.function.strict for one in offered)
    if asked.response_format is not None and asked.response_format.type != "text":
        raise Fault(
            400,
            "A reply is a call or keeps to a response_format, not either: leave one of them out, or set tool_choice "
            "to none.",
            param="response_format",
            code="unsupported_parameter",
        )
    return Offer(tools=tools, guide=None if free else await _guide(tools_called, voice, asked, choice == "auto"))


async def _guide(tools: Sequence[Tool], voice: Voice, asked: ChatRequest, may: bool) -> GrammarGuide:
    """To one call of one of the tools, in the model's own marks where calls have these; with `may`, only once it has
    begun one."""
    for tool in tools:
        await checked(tool.parameters, voice, "tools")
    grammar = alternatives(
        [(f'{{"name": {json_text(tool.name)}, "arguments": ', tool.parameters, "}") for tool in tools]
    )
    marked = voice.template.call_form(voice.tokenizer).name == "tags"
    if may and not marked:
        raise Fault(
            400,
            "strict tools can be offered to this model with tool_choice required, or by name, alone: it writes calls "
            "in a form that does not show where one begins.",
            param="tools",
            code="unsupported_parameter",
        )
    return GrammarGuide(
        grammar=grammar,
        before=_OPEN if marked else "",
        behind=_CLOSE if marked else "",
        in_answer=not asked.thinks,
        thinks=asked.thinks,
        freely=may,
    )
