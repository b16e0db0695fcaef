"""What requests may say: the fields of OpenAI's interface that are honoured, and the names of those that are not.

A field that is known and cannot be done is an error that names it; one that is unknown is left out and listed. No value
is bent into one that fits.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ponder.serve.fault import Fault
from ponder.serve.plan import Own, thinking_tokens

__all__ = [
    "Called",
    "CalledFunction",
    "ChatRequest",
    "CompletionRequest",
    "Control",
    "Count",
    "Detokenize",
    "Effort",
    "FreeText",
    "JsonObject",
    "JsonSchema",
    "NamedFunction",
    "Part",
    "RefusalPart",
    "Said",
    "Sampled",
    "Schema",
    "StreamOptions",
    "Tokenize",
    "ToolFunction",
    "ToolName",
    "ToolSpec",
    "Turn",
    "read_body",
    "read_object",
    "read_request",
]

_DEEPEST = 64
_MOST_MESSAGES = 1024
_MOST_PROMPTS = 256
_MOST_TOOLS = 128
_MOST_SAID = 8
"""Complaints about one body that are told."""
_FOUND_BY = re.compile(r" found using \S+")
"""Words of a complaint that name a function of ours."""
_Top = Annotated[int, Field(ge=0, le=20)]


class Said(BaseModel):
    """Values as JSON has them: no text is taken for a number, no number for text."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)
    meaningless: ClassVar[frozenset[str]] = frozenset()
    """Fields that change nothing here, which clients send as a matter of course."""


class Part(Said):
    """A piece of a message."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"annotations", "cache_control", "logprobs"})
    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(Said):
    """What was said in place of a withheld reply."""

    type: Literal["refusal"]
    refusal: str


class CalledFunction(Said):
    """A tool by name, and the JSON text of its arguments."""

    name: str
    arguments: str


class Called(Said):
    """A call of an earlier turn."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"index"})
    id: str = ""
    type: Literal["function"] = "function"
    function: CalledFunction


class Turn(Said):
    """A message. What an assistant thought in earlier turns is taken and left out, as R1's chat does. All but an
    assistant's have content."""

    meaningless: ClassVar[frozenset[str]] = frozenset(
        {"annotations", "audio", "id", "ponder", "provider_specific_fields", "reasoning", "reasoning_content",
         "reasoning_details", "refusal"}
    )  # fmt: skip
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[Part | RefusalPart, ...] | None = None
    tool_calls: tuple[Called, ...] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.role != "assistant" and (self.content is None or self.content == ()):
            raise ValueError(f"a message of the role {self.role} needs content: a text, or parts with text")
        return self

    @property
    def text(self) -> str:
        """What it says."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text if isinstance(part, Part) else part.refusal for part in self.content or ())


class StreamOptions(Said):
    """What a stream carries beside its text."""

    meaningless: ClassVar[frozenset[str]] = frozenset({"include_obfuscation"})
    include_usage: bool = False
    continuous_usage_stats: bool = False
    """The counts so far in every chunk: vLLM's name."""


class _Thinking(Said):
    """DeepSeek's switch; `budget_tokens` are the most tokens of thinking."""

    type: Literal["enabled", "disabled", "auto"]
    budget_tokens: Annotated[int, Field(ge=1)] | None = None


_Ids = Annotated[tuple[int, ...], Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
_Stop = Annotated[str, Field(max_length=256)]
Stops = _Stop | Annotated[tuple[Annotated[_Stop, Field(min_length=1)], ...], Field(max_length=16)]

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"]


class Sampled(Said):
    """What all requests for text share. `said_in` is the field that holds the prompt."""

    said_in: ClassVar[str]
    meaningless: ClassVar[frozenset[str]] = frozenset(
        {"store", "metadata", "service_tier", "parallel_tool_calls", "prompt_cache_key"}
    )

    model: str | None = None
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stop: Stops | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = None
    """The limit alone ends a completion, whatever the model says: vLLM's name, for measurements."""
    user: str | None = None
    user_id: str | None = None
    cache_salt: str | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    best_of: int | None = None
    logit_bias: Annotated[Mapping[str, Annotated[float, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = None

    @property
    def top(self) -> int:
        """How many of the most likely tokens are told beside each one."""
        return 0

    @property
    def stops(self) -> tuple[str, ...]:
        """Its stop strings; an empty one is none."""
        return tuple(filter(None, (self.stop,) if isinstance(self.stop, str) else self.stop or ()))

    @model_validator(mode="after")
    def _usage_of_streams(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for streams: set stream to true, or leave it out")
        return self


class FreeText(Said):
    """`response_format` that asks for nothing."""

    type: Literal["text"] = "text"


class JsonObject(Said):
    """Any JSON object, or one of a schema, as llama.cpp and others have it."""

    type: Literal["json_object"] = "json_object"
    content: Annotated[Mapping[str, Any] | None, Field(alias="schema")] = None


class Schema(Said):
    """A schema and what its author calls it. Replies keep to it whether `strict` or not."""

    name: Annotated[str, Field(max_length=64)] = ""
    content: Annotated[Mapping[str, Any], Field(alias="schema")]
    strict: bool | None = None


class JsonSchema(Said):
    """What the schema describes."""

    type: Literal["json_schema"] = "json_schema"
    json_schema: Schema


class ToolFunction(Said):
    """What a tool is: its name, what it does, and the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(Said):
    """A tool that is offered."""

    type: Literal["function"]
    function: ToolFunction


class NamedFunction(Said):
    """A tool's name."""

    name: str


class ToolName(Said):
    """A tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


class TemplateSettings(Said):
    """The switches of thinking that chat templates of others take."""

    thinking: bool | None = None
    enable_thinking: bool | None = None


class ChatRequest(Sampled):
    """`POST /v1/chat/completions`."""

    said_in: ClassVar[str] = "messages"
    messages: Annotated[tuple[Turn, ...], Field(min_length=1, max_length=_MOST_MESSAGES)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: _Top | None = None
    thinking: _Thinking | None = None
    thinking_token_budget: Count | None = None
    ponder: Own | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: TemplateSettings | None = None
    response_format: FreeText | JsonObject | JsonSchema | None = Field(None, discriminator="type")
    guided_json: Any = None
    structured_outputs: Any = None
    tools: Annotated[tuple[ToolSpec, ...], Field(max_length=_MOST_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolName | None = None

    @property
    def thinking_tokens(self) -> int | None:
        """The most tokens of thinking; Fault where two say different things."""
        return thinking_tokens(
            self.thinking_token_budget, None if self.thinking is None else self.thinking.budget_tokens
        )

    @property
    def top(self) -> int:
        """As `Sampled.top`."""
        return (self.top_logprobs or 0) if self.logprobs else 0

    @property
    def thinks(self) -> bool:
        """Whether the reply may begin with a thought."""
        switches = self.chat_template_kwargs or TemplateSettings()
        said = [
            None if self.thinking is None else self.thinking.type != "disabled",
            None if self.reasoning_effort is None else self.reasoning_effort != "none",
            switches.thinking,
            switches.enable_thinking,
        ]
        return all(one is not False for one in said)


class CompletionRequest(Sampled):
    """`POST /v1/completions`: text as it stands, without the template. `max_tokens` 0 with `echo` asks for the
    log-probs of the prompt alone."""

    said_in: ClassVar[str] = "prompt"
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    prompt: str | _Ids | Annotated[tuple[str, ...] | tuple[_Ids, ...], Field(min_length=1, max_length=_MOST_PROMPTS)]
    echo: bool | None = None
    logprobs: _Top | None = None
    suffix: str | None = None

    @property
    def top(self) -> int:
        """As `Sampled.top`."""
        return self.logprobs or 0

    @property
    def prompts(self) -> "tuple[str, ...] | tuple[tuple[int, ...], ...]":
        """One text or more, or the ids of as many."""
        if isinstance(self.prompt, str):
            return (self.prompt,)
        if isinstance(self.prompt[0], int):
            return (self.prompt,)
        return self.prompt


class Tokenize(Said):
    """`POST /tokenize`: the ids of a text, or of the prompt that messages become."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[tuple[Turn, ...], Field(min_length=1, max_length=_MOST_MESSAGES)] | None = None
    add_special_tokens: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("expected one of prompt and messages")
        return self


class Detokenize(Said):
    """`POST /detokenize`."""

    model: str | None = None
    tokens: tuple[int, ...]


class Control(Said):
    """`POST /v1/chat/completions/control`: end the thinking of a reply under way."""

    id: str
    action: Literal["reasoning_end"]


Asked = TypeVar("Asked", bound=Said)


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; Fault for anything else."""
    try:
        return read_object(body)
    except ValueError as error:
        raise Fault(400, f"The body {error}.", code="invalid_json") from None


def read_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object that can be worked with; ValueError, which says what the text is instead, for anything else."""
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error or 'too deep'}") from None
    if not isinstance(value, dict):
        raise ValueError(f"must be a JSON object, got {type(value).__name__}")
    if _depth(value) > _DEEPEST:
        raise ValueError(f"is nested more than {_DEEPEST} deep")
    return value


def read_request(kind: type[Asked], body: Mapping[str, Any], strict: bool) -> tuple[Asked, list[str]]:
    """The request, and the places of all fields that are not known and say something. With `strict` they are a Fault,
    too."""
    try:
        asked = kind.model_validate_json(json.dumps(body, ensure_ascii=False).encode())
    except (ValidationError, UnicodeEncodeError) as error:
        raise _told(error, body) from None
    unknown = list(dict.fromkeys(sorted(_unknown(asked, body))))
    if unknown and strict:
        raise Fault(
            400,
            f"Unknown fields: {', '.join(unknown)}. This server refuses what it does not know.",
            param=unknown[0].partition(".")[0],
        )
    return asked, unknown


def _unknown(said: Said, body: Mapping[str, Any]) -> Iterator[str]:
    """Fields of the body that nothing was made of, with their places; `*` is any of a list."""
    fields = {field.alias or name: name for name, field in type(said).model_fields.items()}
    for key, value in body.items():
        if key in fields:
            yield from (f"{key}.{inner}" for inner in _unknown_in(getattr(said, fields[key]), value))
        elif value is not None and key not in said.meaningless:
            yield key


def _unknown_in(found: object, value: object) -> Iterator[str]:
    if isinstance(found, Said) and isinstance(value, Mapping):
        yield from _unknown(found, value)
    elif isinstance(found, tuple) and isinstance(value, list):
        for one, inner in zip(found, value, strict=True):
            yield from (f"*.{name}" for name in _unknown_in(one, inner))


def _told(error: ValidationError | UnicodeEncodeError, body: Mapping[str, Any]) -> Fault:
    if isinstance(error, UnicodeEncodeError):
        return Fault(400, "The body holds half of a surrogate pair, which is no text.", code="invalid_json")
    # What holds something wrong is called too short, besides, where nothing right is left of it.
    details = [
        one
        for one in error.errors(include_url=False)
        if one["type"] != "too_short" or len(one["input"]) < one["ctx"]["min_length"]
    ]
    lines = []
    for one in details:
        place = ".".join(_place(one["loc"], body, one["type"] == "missing"))
        got = json.dumps(one["input"], ensure_ascii=False, default=str)
        message = _FOUND_BY.sub("", one["msg"])
        said = str(one["ctx"]["error"]) if one["type"] == "value_error" else f"{message}, got {got[:80]}"
        lines.append(f"{place}: {said}" if place else said)
    first = details[0]["loc"]
    return Fault(400, "; ".join([*dict.fromkeys(lines)][:_MOST_SAID]), param=str(first[0]) if first else None)


def _place(parts: Sequence[str | int], body: object, missing: bool) -> list[str]:
    """Where in the body it is: of `parts`, which name the alternatives of a type as well, those that lead there, and
    the last one where that is `missing`."""
    found = []
    for number, part in enumerate(parts):
        if (isinstance(body, Mapping) and part in body) or (isinstance(body, list) and isinstance(part, int)):
            body = body[part]  # type: ignore[index]
        elif not missing or number < len(parts) - 1:
            continue
        found.append(str(part))
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _depth(value: object) -> int:
    """Levels of lists and objects, without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, depth)
            inner: Sequence[object] = list(one.values()) if isinstance(one, dict) else one
            waiting += [(child, depth + 1) for child in inner]
    return deepest
