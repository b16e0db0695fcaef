"""`/v1/responses`: OpenAI's newer interface, without memory: every request brings its whole conversation."""

import os
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.types import ASGIApp

from ponder.errors import PonderError
from ponder.serve.chat import Chat
from ponder.serve.chats import begin_planned, to_json
from ponder.serve.fault import Fault, fault_of
from ponder.serve.items import Item, turns_of
from ponder.serve.output import CUT, Output
from ponder.serve.plan import Own
from ponder.serve.planned import Planned
from ponder.serve.reply import Account, own
from ponder.serve.wire import (
    ChatRequest,
    Count,
    Effort,
    FreeText,
    JsonObject,
    JsonSchema,
    NamedFunction,
    Said,
    Sampled,
    Schema,
    ToolFunction,
    ToolName,
    ToolSpec,
    Turn,
    read_request,
)

if TYPE_CHECKING:
    from ponder.serve.app import Server

__all__ = ["ResponseRequest", "respond"]

_MOST_ITEMS = 1024
_MOST_TOOLS = 128
_FIELDS = {"messages": "input", "response_format": "text", "max_tokens": "max_output_tokens"}
"""How this interface calls what chat completions call otherwise."""


class Reasoning(Said):
    """How much it thinks; not at all with `none`."""

    effort: Effort | None = None


class TextFormat(Said):
    """As `response_format` of chat completions, with the schema beside its name."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: Annotated[str, Field(max_length=64)] = ""
    content: Annotated[Mapping[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None

    def chat(self) -> FreeText | JsonObject | JsonSchema:
        """As a request for chat completions has it; Fault where there is no schema."""
        if self.type == "text":
            return FreeText()
        if self.type == "json_object":
            return JsonObject()
        if self.content is None:
            raise Fault(400, "text.format is json_schema and has no schema.", param="text")
        return JsonSchema(json_schema=Schema.model_validate({"name": self.name, "schema": self.content}))


class Text(Said):
    """What the answer is written as."""

    format: TextFormat | None = None


class FunctionTool(ToolFunction):
    """A tool that is offered; there are no others than functions of the client's."""

    type: Literal["function"]


class FunctionChoice(NamedFunction):
    """A tool that must be called."""

    type: Literal["function"]


class _AsChat(ChatRequest):
    said_in: ClassVar[str] = "input"
    messages: tuple[Turn, ...]  # as many as there are items


class ResponseRequest(Sampled):
    """`POST /v1/responses`."""

    said_in: ClassVar[str] = "input"
    input: str | Annotated[tuple[Item, ...], Field(min_length=1, max_length=_MOST_ITEMS)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    reasoning: Reasoning | None = None
    thinking_token_budget: Count | None = None
    ponder: Own | None = None
    text: Text | None = None
    tools: Annotated[tuple[FunctionTool, ...], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    metadata: Mapping[str, str] | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    background: bool | None = None
    top_logprobs: int | None = None
    include: tuple[str, ...] | None = None

    def chat(self) -> ChatRequest:
        """The same as a request for chat completions; Fault for what is known and cannot be done."""
        self._refuse_impossible()
        turns = [Turn(role="system", content=self.instructions)] if self.instructions else []
        turns += [Turn(role="user", content=self.input)] if isinstance(self.input, str) else turns_of(self.input)
        if not turns:
            raise Fault(400, "input holds no message.", param="input")
        functions = [ToolFunction.model_validate(one.model_dump(exclude={"type"})) for one in self.tools or ()]
        choice = self.tool_choice
        return _AsChat(
            messages=tuple(turns),
            max_completion_tokens=self.max_output_tokens,
            reasoning_effort=None if self.reasoning is None else self.reasoning.effort,
            thinking_token_budget=self.thinking_token_budget,
            response_format=None if self.text is None or self.text.format is None else self.text.format.chat(),
            tools=tuple(ToolSpec(type="function", function=one) for one in functions) or None,
            tool_choice=ToolName(type="function", function=NamedFunction(name=choice.name))
            if isinstance(choice, FunctionChoice)
            else choice,
            ponder=self.ponder,
            **self.model_dump(include={*Sampled.model_fields} - {"stream", "stream_options", "n"}),
        )

    def _refuse_impossible(self) -> None:
        for name in ("previous_response_id", "conversation", "prompt"):
            if getattr(self, name) is not None:
                raise Fault(
                    400,
                    f"{name} names what this server should have kept: it keeps nothing. Send the whole conversation as "
                    f"input.",
                    param=name,
                    code="unsupported_parameter",
                )
        logged = "message.output_text.logprobs" in (self.include or ())
        for name, wanted in (("background", self.background), ("top_logprobs", self.top_logprobs), ("include", logged)):
            if wanted:
                raise Fault(
                    400,
                    f"{name} {getattr(self, name)!r} cannot be done here: leave it out"
                    f"{', or ask chat completions for log-probs' if name != 'background' else ''}.",
                    param=name,
                    code="unsupported_parameter",
                )
        if self.n not in (None, 1):
            raise Fault(400, "A response has one choice: leave n out.", param="n")


async def respond(server: "Server", request: Request) -> ASGIApp:
    """The route."""
    caller = server.caller(request)
    body = await server.read(request)
    asked, ignored = read_request(ResponseRequest, body, server.config.strict)
    identity = f"resp_{os.urandom(12).hex()}"
    exchange = server.admit(identity, request, caller)
    try:
        reply = await begin_planned(server, asked.chat(), identity, caller)
    except BaseException as error:
        exchange.end(Account(prompt=0), [], error=str(error))
        if isinstance(error, Fault) and error.param in _FIELDS:
            error.param = _FIELDS[error.param]
        raise
    form = _Form(identity, server, asked, reply)

    def ended(abandoned: bool) -> None:
        reply.cancel()
        del server.chats[identity]
        texts = {"input": body["input"], "replies": [[c.thinking, c.answer] for c in reply.choices]}
        exchange.end(reply.account, [c.reason for c in reply.choices], abandoned=abandoned, texts=texts)

    headers = server.headers(identity, caller, ignored)
    if asked.stream:
        return server.stream(form.events(), headers, ended)
    return server.later(form.whole(), headers, ended)


class _Form:
    """The words around one response."""

    def __init__(self, identity: str, server: "Server", asked: ResponseRequest, reply: Chat | Planned) -> None:
        self._identity, self._asked, self._reply = identity, asked, reply
        self._model, self._defaults, self._prices = server.about.name, server.defaults, server.config.prices
        self._created = int(time.time())
        self._output = Output(identity.removeprefix("resp_"))
        self._number = 0

    async def whole(self) -> dict[str, Any]:
        """The response in one piece."""
        async for said in self._reply.deltas():
            if not isinstance(said, str):
                self._output.take(said[1])
        return self._ended()

    async def events(self) -> AsyncIterator[str]:
        """The events of a stream. An error in the middle is its last event."""
        for name in ("created", "in_progress"):
            yield self._event(f"response.{name}", {"response": self._body("in_progress")})
        try:
            async for said in self._reply.deltas():
                if isinstance(said, str):
                    yield said
                    continue
                for name, fields in self._output.take(said[1]):
                    yield self._event(f"response.{name}", fields)
        except (Fault, PonderError) as error:
            told = (error if isinstance(error, Fault) else fault_of(error)).body()
            named = {name: told["error"][name] for name in ("code", "message", "param")}
            yield self._event(
                "error", {**named, **told}
            )  # as OpenAI's interface has it, and in the one shape of errors
            return
        body = self._ended()
        yield self._event(f"response.{body['status']}", {"response": body})

    def _ended(self) -> dict[str, Any]:
        reply, [choice] = self._reply, self._reply.choices
        cut = CUT.get(choice.reason)
        return self._body("completed" if cut is None else "incomplete") | {
            "incomplete_details": None if cut is None else {"reason": cut},
            "output": list(self._output.items),
            "usage": _usage(reply.account),
            "ponder": own(self._prices, reply.account, reply.notes(), reply.more()),
        }

    def _body(self, status: str) -> dict[str, Any]:
        """The response before anything is written."""
        asked, offered = self._asked, self._asked.tools or ()
        usual = "auto" if offered else "none"
        choice = asked.tool_choice
        return {
            "id": self._identity,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "incomplete_details": None,
            "error": None,
            "model": self._model,
            "instructions": asked.instructions,
            "output": [],
            "parallel_tool_calls": bool(offered) and choice in (None, "auto"),
            "tool_choice": choice.model_dump() if isinstance(choice, FunctionChoice) else choice or usual,
            "tools": [one.model_dump() for one in offered],
            "temperature": self._defaults.temperature if asked.temperature is None else asked.temperature,
            "top_p": self._defaults.top_p if asked.top_p is None else asked.top_p,
            "max_output_tokens": asked.max_output_tokens,
            "previous_response_id": None,
            "store": False,
            "metadata": dict(asked.metadata or {}),
            "usage": None,
        }

    def _event(self, kind: str, fields: Mapping[str, Any]) -> str:
        number, self._number = self._number, self._number + 1
        return f"event: {kind}\ndata: {to_json({'type': kind, 'sequence_number': number, **fields})}"


def _usage(account: Account) -> Mapping[str, Any]:
    return {
        "input_tokens": account.prompt,
        "input_tokens_details": {"cached_tokens": account.hit, "cache_write_tokens": 0},
        "output_tokens": account.written,
        "output_tokens_details": {"reasoning_tokens": account.thinking},
        "total_tokens": account.prompt + account.written,
    }
