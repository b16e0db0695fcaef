"""A Python function as a model is told of it, and as a model calls it: by its name, docstring and types (pydantic)."""

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import ArgsKwargs

from ponder.records import Tool

__all__ = ["Misused", "tool_of", "use", "why_no_tool"]

_SHOWN = 200


class Misused(Exception):
    """A tool was called with arguments that it does not take: the model's mistake, not the tool's."""


def tool_of(function: Callable[..., Any]) -> Tool:
    """What a model is told of a function."""
    schema = _adapter(function).json_schema()
    schema.pop("additionalProperties")  # which goes without saying
    for one in schema["properties"].values():
        one.pop("title", None)
    return Tool(name=function.__name__, description=inspect.getdoc(function) or "", parameters=schema)


def use(function: Callable[..., Any], arguments: str) -> Any:
    """The function's value for arguments as JSON text; raises Misused, and whatever the function raises."""
    try:
        return _adapter(function).validate_python(ArgsKwargs((), json.loads(arguments)))
    except ValidationError as error:
        if not error.title.startswith("call["):
            raise  # of the function's own making
        faults = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Misused("; ".join(faults)) from None


def why_no_tool(function: Callable[..., Any]) -> str | None:
    """Why a model cannot be told of a function, or None."""
    if not inspect.isfunction(function):
        return f"is {type(function).__name__}; expected a function written with `def`, which may call it"
    if not inspect.getdoc(function):
        return "has no docstring; expected one: it is what the model is told of the tool"
    for one in inspect.signature(function).parameters.values():
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            return f"has the parameter {one}; expected parameters that a call can give by name"
    try:
        tool_of(function)
    except (PydanticUserError, TypeError, NameError) as error:
        return f"has parameters whose types JSON does not have: {' '.join(str(error).split())[:_SHOWN]}"
    return None


def _adapter(function: Any) -> TypeAdapter[Any]:
    return TypeAdapter(function)
