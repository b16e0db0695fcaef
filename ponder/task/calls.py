"""Tools and calls as tables of conversations hold them: OpenAI's `tools` and `tool_calls`, ShareGPT's calls."""

import json
from collections.abc import Mapping
from typing import Any

from ponder.records import Tool, ToolCall
from ponder.task.fault import RowFault
from ponder.task.gold import unpacked

__all__ = ["calls_of", "tools_of"]


def tools_of(value: Any, column: str) -> tuple[Tool, ...]:
    """The tools in a cell: a list of {name, description, parameters}, each by itself or under `function`."""
    value = unpacked(value)
    if value in (None, ""):
        return ()
    if not isinstance(value, list | tuple):
        raise RowFault(f"column {column!r} holds {value!r:.80}; expected a list of tools")
    return tuple(_tool(unpacked(one), column) for one in value)


def calls_of(value: Any, where: str) -> tuple[ToolCall, ...]:
    """The calls of a turn: a list of {name, arguments}, each by itself or under `function`, or one of them."""
    value = unpacked(value)
    if value is None:
        return ()
    listed = [value] if isinstance(value, Mapping) else value
    if not isinstance(listed, list | tuple):
        raise RowFault(f"{where} holds {value!r:.80}; expected a list of calls")
    return tuple(_call(unpacked(one), where) for one in listed)


def _tool(value: Any, column: str) -> Tool:
    inner = unpacked(value.get("function", value)) if isinstance(value, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
        raise RowFault(f"column {column!r} holds {value!r:.80}; expected a tool with a name")
    parameters = unpacked(inner.get("parameters")) or {"type": "object", "properties": {}}
    if not isinstance(parameters, Mapping):
        raise RowFault(f"column {column!r}: the parameters of {name!r} are {parameters!r:.60}; expected a JSON schema")
    return Tool(name=name, description=str(inner.get("description") or ""), parameters=dict(parameters))


def _call(value: Any, where: str) -> ToolCall:
    inner = unpacked(value.get("function", value)) if isinstance(value, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
        raise RowFault(f"{where} holds {value!r:.80}; expected a call with the name of a tool")
    arguments = inner.get("arguments")
    try:
        found = json.loads(arguments) if isinstance(arguments, str) and arguments.strip() else arguments or {}
    except (ValueError, RecursionError):
        raise RowFault(f"{where}: the arguments of {name!r} are no JSON: {arguments!r:.60}") from None
    if not isinstance(found, Mapping):
        raise RowFault(f"{where}: the arguments of {name!r} are {found!r:.60}; expected an object")
    call_id = value.get("id")
    written = json.dumps(found, ensure_ascii=False)
    return ToolCall(name=name, arguments=written, id=call_id if isinstance(call_id, str) else "")
