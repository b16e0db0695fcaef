"""What replies look like, as the description of the service tells it; `reply.py`, `raw.py` and others write them.

Replies may say more than stands here, never less.
"""

from typing import Any, Literal

from pydantic import BaseModel

__all__ = [
    "ChatReply",
    "CompletionReply",
    "Detokenized",
    "Ended",
    "Failed",
    "Model",
    "Models",
    "ResponseReply",
    "State",
    "Tokenized",
    "Tokenizer",
    "Used",
]

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


class Error(BaseModel):
    """What is wrong; `param` is the field it is about."""

    message: str
    type: str
    param: str | None
    code: str


class Failed(BaseModel):
    """The one shape of errors."""

    error: Error


class Cached(BaseModel):
    """Tokens of the prompt that were taken from the prefix cache."""

    cached_tokens: int


class Reasoned(BaseModel):
    """Tokens of thinking."""

    reasoning_tokens: int


class Usage(BaseModel):
    """Tokens, in the names of OpenAI and of DeepSeek; hit and miss make the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_cache_hit_tokens: int
    prompt_cache_miss_tokens: int
    prompt_tokens_details: Cached
    completion_tokens_details: Reasoned


class Function(BaseModel):
    """A tool by name, and the JSON text of its arguments."""

    name: str
    arguments: str


class Call(BaseModel):
    """A call of a tool."""

    id: str
    type: Literal["function"]
    function: Function


class Message(BaseModel):
    """A reply. `reasoning_content` is its thinking, where there is any."""

    role: Literal["assistant"]
    content: str | None
    reasoning_content: str = ""
    refusal: str | None = None
    tool_calls: list[Call] = []


class ChatChoice(BaseModel):
    """One of the replies that were asked for."""

    index: int
    message: Message
    finish_reason: Reason
    stop_reason: str | None = None
    logprobs: dict[str, Any] | None


class ChatReply(BaseModel):
    """The body of a chat reply. In a stream each event holds a `chat.completion.chunk`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: Usage
    ponder: dict[str, Any]


class CompletionChoice(BaseModel):
    """A text that goes on."""

    index: int
    text: str
    finish_reason: Reason
    stop_reason: str | None = None
    logprobs: dict[str, Any] | None


class CompletionReply(BaseModel):
    """The body of a completion. In a stream each event holds the same with a piece of the text."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class ResponseUsage(BaseModel):
    """Tokens, in the names of the newer interface."""

    input_tokens: int
    input_tokens_details: Cached
    output_tokens: int
    output_tokens_details: Reasoned
    total_tokens: int


class ResponseReply(BaseModel):
    """A response: items of reasoning, messages and calls. In a stream events tell how it grows."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    incomplete_details: dict[str, str] | None
    error: None
    model: str
    output: list[dict[str, Any]]
    usage: ResponseUsage


class Model(BaseModel):
    """What is served under a name."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    max_model_len: int
    ponder: dict[str, Any]


class Models(BaseModel):
    """All names."""

    object: Literal["list"]
    data: list[Model]


class Used(BaseModel):
    """Tokens and cost of a key since the start."""

    key: str
    tokens: int
    cost: dict[str, Any] | None
    under_way: int
    limits: dict[str, int]


class Tokenized(BaseModel):
    """Ids."""

    tokens: list[int]
    count: int
    max_model_len: int


class Tokenizer(BaseModel):
    """What clients that make prompts themselves ask of the tokenizer."""

    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str | None
    model_max_length: int


class Detokenized(BaseModel):
    """The text of ids."""

    prompt: str


class Ended(BaseModel):
    """Whether a reply's thinking was ended by this."""

    id: str
    ended: bool


class State(BaseModel):
    """How the server is: `ok`, `starting`, `draining` or `broken`."""

    status: str
