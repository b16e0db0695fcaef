"""Tools and their calls as text: ponder's own form, for every model whose chat template has none.

    declared(tools) -> what a prompt says of them        written(calls) -> what an assistant writes to call
    plain(messages, tools) -> the same conversation of the roles system, user and assistant alone

`texts_of` and `with_texts` take the words of a conversation out of it and put others in their places, so that the
marks of the form are written around words that are known to be ordinary text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ponder.errors import DataError
from ponder.records import Message, Tool, ToolCall
from ponder.text.calls import json_text

__all__ = ["check_calls", "declaration", "declared", "plain", "texts_of", "with_texts", "written"]

_INTRODUCTION = "You can call tools. Each line is one, in JSON:"
_ADVICE = (
    "To call one, write after your thinking, in place of the answer, its name and its arguments, and then stop:\n"
    '<tool_call>\n{"name": "...", "arguments": {...}}\n</tool_call>\n'
    "What it gives is sent to you between <tool_response> and </tool_response>."
)


def declaration(tool: Tool) -> dict[str, Any]:
    """A tool as chat templates and servers know it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def declared(tools: Sequence[Tool]) -> str:
    """What a prompt says of the tools."""
    lines = [json_text(declaration(tool)["function"]) for tool in tools]
    return "\n".join((_INTRODUCTION, *lines, _ADVICE))


def written(calls: Sequence[ToolCall]) -> str:
    """The calls as an assistant writes them."""
    return "\n".join(
        f'<tool_call>\n{{"name": {json_text(call.name)}, "arguments": {call.arguments}}}\n</tool_call>'
        for call in calls
    )


def plain(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """The conversation in ponder's form: what the tools are stands in the first turn, results in a user's turn."""
    turns: list[Message] = []
    joins = False  # whether the last turn holds results
    for message in messages:
        if message.role == "tool" or (joins and message.role == "user"):
            is_result = message.role == "tool"
            content = f"<tool_response>\n{message.content}\n</tool_response>" if is_result else message.content
            if joins:
                turns[-1] = replace(turns[-1], content=f"{turns[-1].content}\n{content}")
            else:
                turns.append(Message(role="user", content=content))
            joins = is_result or joins
            continue
        joins = False
        calls = (written(message.tool_calls),) if message.tool_calls else ()
        text = "\n".join(filter(None, (message.content, *calls)))
        turns.append(Message(role=message.role, content=text if calls else message.content))
    if tools and turns:
        first = turns[0]
        parts = (first.content, declared(tools)) if first.role == "system" else (declared(tools), first.content)
        turns[0] = replace(first, content="\n\n".join(parts))
    return turns


def check_calls(messages: Sequence[Message]) -> None:
    """DataError for results that answer no call, and for calls without a result."""
    open_calls = 0
    for place, message in enumerate(messages, start=1):
        if message.role == "tool":
            if open_calls == 0:
                raise DataError(
                    f"Message {place} is the result of a tool, {message.content[:80]!r}, but no call of the assistant "
                    f"is waiting for one. Expected as many results as `tool_calls`, right after them."
                )
            open_calls -= 1
            continue
        if open_calls:
            raise DataError(
                f"Message {place} is the {message.role}'s, but {open_calls} of the assistant's tool calls have no "
                f"result yet. Expected one message of the role 'tool' for each call, right after it."
            )
        if message.tool_calls and message.role != "assistant":
            raise DataError(f"Message {place} is the {message.role}'s and holds tool calls; only an assistant calls.")
        open_calls = len(message.tool_calls)
    if open_calls:
        raise DataError(f"The conversation ends with {open_calls} tool calls that have no result to go on from.")


def texts_of(messages: Sequence[Message], tools: Sequence[Tool]) -> list[str]:
    """All words that somebody put into a conversation, in an order that `with_texts` knows."""
    texts: list[str] = []
    for message in messages:
        texts.append(message.content)
        for call in message.tool_calls:
            texts += [call.name, *_strings(call.values)]
    for tool in tools:
        texts += _strings([tool.name, tool.description, tool.parameters])
    return texts


def with_texts(
    messages: Sequence[Message], tools: Sequence[Tool], texts: Sequence[str]
) -> tuple[list[Message], list[Tool]]:
    """The conversation with these words in place of its own."""
    words = iter(texts)
    turns = []
    for message in messages:
        content = next(words)
        calls = tuple(
            replace(call, name=next(words), arguments=json_text(_replaced(call.values, words)))
            for call in message.tool_calls
        )
        turns.append(replace(message, content=content, tool_calls=calls))
    known = []
    for tool in tools:
        name, description, parameters = _replaced([tool.name, tool.description, tool.parameters], words)
        known.append(Tool(name=name, description=description, parameters=parameters))
    return turns, known


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for one in value:
                yield from _strings(one)
        case dict():
            for key, one in value.items():
                yield key
                yield from _strings(one)


def _replaced(value: Any, words: Iterator[str]) -> Any:
    match value:
        case str():
            return next(words)
        case list() | tuple():
            return [_replaced(one, words) for one in value]
        case dict():
            return {next(words): _replaced(one, words) for one in value.values()}
    return value
