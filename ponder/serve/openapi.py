"""The service in OpenAPI's form (3.1): made of the models that requests are read with, so that both say the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import ponder
from ponder.serve.replied import (
    ChatReply,
    CompletionReply,
    Detokenized,
    Ended,
    Failed,
    Model,
    Models,
    ResponseReply,
    State,
    Tokenized,
    Tokenizer,
    Used,
)
from ponder.serve.responses import ResponseRequest
from ponder.serve.wire import ChatRequest, CompletionRequest, Control, Detokenize, Tokenize

__all__ = ["OPERATIONS", "document"]

_PLACE = "#/components/schemas/{model}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a path does. `asks` is its body, none for GET; `tells` its reply, as a model or as a media type."""

    summary: str
    asks: type[BaseModel] | None = None
    tells: type[BaseModel] | str
    streams: bool = False
    is_open: bool = False
    """Whether it answers without a key."""
    waits: bool = False
    """Whether 503 has the body of 200."""


OPERATIONS: Mapping[str, Operation] = {
    "/v1/chat/completions": Operation(
        summary="The next reply of a conversation", asks=ChatRequest, tells=ChatReply, streams=True
    ),
    "/v1/completions": Operation(
        summary="A text that goes on", asks=CompletionRequest, tells=CompletionReply, streams=True
    ),
    "/v1/responses": Operation(
        summary="The next items of a conversation", asks=ResponseRequest, tells=ResponseReply, streams=True
    ),
    "/v1/chat/completions/control": Operation(
        summary="End the thinking of a reply under way", asks=Control, tells=Ended
    ),
    "/v1/models": Operation(summary="What is served", tells=Models),
    "/v1/models/{name}": Operation(summary="What is served under a name", tells=Model),
    "/v1/usage": Operation(summary="What the key has used", tells=Used),
    "/tokenize": Operation(summary="The ids of a text or of a conversation", asks=Tokenize, tells=Tokenized),
    "/detokenize": Operation(summary="The text of ids", asks=Detokenize, tells=Detokenized),
    "/tokenizer_info": Operation(summary="The tokenizer's marks", tells=Tokenizer),
    "/": Operation(summary="A page to chat on", tells="text/html", is_open=True),
    "/health": Operation(summary="Whether the server lives", tells=State, is_open=True, waits=True),
    "/ready": Operation(summary="Whether the server takes requests", tells=State, is_open=True, waits=True),
    "/metrics": Operation(summary="Figures for Prometheus", tells="text/plain"),
    "/openapi.json": Operation(summary="This description", tells=_JSON, is_open=True),
}


def document(keys: bool) -> dict[str, Any]:
    """The description of a server; `keys` says that it asks for them."""
    asked = {one.asks for one in OPERATIONS.values() if one.asks is not None}
    told = {one.tells for one in OPERATIONS.values() if isinstance(one.tells, type)} | {Failed}
    places, schemas = models_json_schema(
        [(one, "validation") for one in sorted(asked | told, key=lambda one: one.__name__)], ref_template=_PLACE
    )
    refs: dict[type[BaseModel], Any] = {kind: ref for (kind, _), ref in places.items() if issubclass(kind, BaseModel)}
    components: dict[str, Any] = {"schemas": schemas["$defs"]}
    if keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ponder serve", "version": ponder.__version__},
        "paths": {
            path: {"post" if one.asks else "get": _operation(path, one, refs, keys)} for path, one in OPERATIONS.items()
        },
        "components": components,
    }


def _operation(path: str, one: Operation, refs: Mapping[type[BaseModel], Any], keys: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": one.summary}
    if "{name}" in path:
        found["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    if one.asks is not None:
        found["requestBody"] = {"required": True, "content": {_JSON: {"schema": refs[one.asks]}}}
    if keys and not one.is_open:
        found["security"] = [{"key": []}]
    kind, schema = (one.tells, {}) if isinstance(one.tells, str) else (_JSON, refs[one.tells])
    content: dict[str, Any] = {kind: {"schema": schema} if schema else {}}
    if one.streams:
        content["text/event-stream"] = {}
    error = {"description": "Why not", "content": {_JSON: {"schema": refs[Failed]}}}
    found["responses"] = {
        "200": {"description": "Done", "content": content},
        "4XX": error,
        "503": {"description": "Not now", "content": content} if one.waits else error,
    }
    return found
