"""What a stream has said so far: its events become thinking and answer of one message, with counts and votes. Pure."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from ponder.ask.stream import Comment
from ponder.errors import EndpointError
from ponder.serve.conversation import Node

__all__ = ["Said", "Vote"]

_VOTE = re.compile(r"vote (\d+)/(\d+)(?: (\{.*\}))?")


class _Delta(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(BaseModel):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(BaseModel):
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    completion_tokens_details: _Details | None = None


class _Cost(BaseModel):
    amount: float
    currency: str


class _Voted(BaseModel):
    counts: dict[str, int] = {}


class _Check(BaseModel):
    outcome: str
    reason: str | None = None


class _Own(BaseModel):
    cost: _Cost | None = None
    vote: _Voted | None = None
    check: _Check | None = None
    samples: list[dict[str, Any]] | None = None
    notes: list[str] | None = None


class _Chunk(BaseModel):
    """What is read of a chunk; the rest of it may be anything."""

    id: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    ponder: _Own | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """How far a vote has come: so many samples of so many are done, and their answers."""

    done: int
    of: int
    counts: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Said:
    """Fills `node`. `identity` is the server's name of the reply, by which its thinking can be ended."""

    node: Node
    identity: str | None = None
    vote: Vote | None = None
    thinking_tokens: int | None = None  # as the server counts; some say it at the end only
    thinking_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def thinks(self) -> bool:
        """Whether there is a thought and no answer yet."""
        return bool(self.node.reasoning_content) and not self.node.content

    def take(self, value: object) -> None:
        """An event more; EndpointError for one that says that it went wrong."""
        if isinstance(value, Comment):
            if found := _VOTE.fullmatch(value.text):
                self.vote = Vote(done=int(found[1]), of=int(found[2]), counts=_counts(found[3]))
        elif isinstance(value, dict):
            if error := value.get("error"):
                raise EndpointError(str(error.get("message", error) if isinstance(error, dict) else error))
            self._chunk(_whole(value))

    def _chunk(self, value: Mapping[str, Any]) -> None:
        try:
            chunk = _Chunk.model_validate(value)
        except ValidationError as error:
            one = error.errors(include_url=False)[0]
            place = ".".join(map(str, one["loc"]))
            raise EndpointError(f"the stream holds no chunk of a chat: {place}: {one['msg']}") from None
        node = self.node
        self.identity = chunk.id or self.identity
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta or _Delta()
            if thought := delta.reasoning_content or delta.reasoning:
                node.reasoning_content = (node.reasoning_content or "") + thought
            if self.thinks:
                self.thinking_seconds = time.monotonic() - self.began
            node.content += delta.content or ""
            node.ended = choice.finish_reason or node.ended
        if chunk.usage is not None:
            node.usage = dict(value["usage"])
            if (details := chunk.usage.completion_tokens_details) is not None:
                self.thinking_tokens = details.reasoning_tokens or self.thinking_tokens
        if chunk.ponder is not None:
            node.ponder = dict(value["ponder"])


def _whole(value: dict[str, Any]) -> dict[str, Any]:
    """The same with a question mark for every half of a surrogate pair, which no file and no request can hold."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return dict(json.loads(text.encode("utf-8", "replace")))
    return value


def _counts(text: str | None) -> Mapping[str, int]:
    """The answers so far; a comment that holds something else says nothing of them."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(answer): int(count) for answer, count in found.items() if isinstance(count, int)}
