"""Replies in OpenAI's form: whole bodies, and chunks of a stream.

Thinking and answer never stand in one delta, and no delta holds an empty piece of thinking: clients open a box for it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.recipe.serve import Prices, ServeConfig
from ponder.records import ToolCall
from ponder.serve.choice import Delta, Shown

__all__ = ["PLAIN", "Account", "ChatForm", "own", "quoted", "to_json", "usage"]

PLAIN = ("thinking", "answer")
"""Kinds of a delta that are text and nothing else."""

quoted = json.JSONEncoder(ensure_ascii=False).encode
"""A text as JSON, as `to_json` has it."""


def to_json(value: Mapping[str, Any]) -> str:
    """As events carry it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True, kw_only=True)
class Account:
    """What a request took: tokens of its prompt, of which `hit` came from the cache; tokens written; seconds."""

    prompt: int
    hit: int = 0
    written: int = 0
    thinking: int = 0
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    ended: float | None = None

    def cost(self, prices: Prices | None) -> dict[str, Any] | None:
        """What it costs, or None where nothing is priced."""
        if prices is None:
            return None
        parts = self.hit * prices.hit + (self.prompt - self.hit) * prices.miss + self.written * prices.output
        return {"amount": round(parts / 1e6, 10), "currency": prices.currency}

    def timing(self) -> dict[str, float]:
        """Seconds to the first token and in all, and tokens per second after the first."""
        end = self.ended or time.monotonic()
        first = self.first or end
        rate = (self.written - 1) / (end - first) if self.written > 1 and end > first else 0.0
        return {
            "first_token_seconds": round(first - self.began, 4),
            "seconds": round(end - self.began, 4),
            "tokens_per_second": round(rate, 2),
        }


def usage(account: Account) -> dict[str, Any]:
    """Counts of tokens in the names of OpenAI and of DeepSeek; hit and miss make the prompt."""
    return {
        "prompt_tokens": account.prompt,
        "completion_tokens": account.written,
        "total_tokens": account.prompt + account.written,
        "prompt_cache_hit_tokens": account.hit,
        "prompt_cache_miss_tokens": account.prompt - account.hit,
        "prompt_tokens_details": {"cached_tokens": account.hit},
        "completion_tokens_details": {"reasoning_tokens": account.thinking},
    }


def own(prices: Prices | None, account: Account, notes: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """What ponder says beside a reply. In a stream of chunks it stands in the last one that has a choice, since clients
    read `choices[0]` of every chunk that they did not ask for."""
    said: dict[str, Any] = {"timing": account.timing()}
    if (cost := account.cost(prices)) is not None:
        said["cost"] = cost
    if notes:
        said["notes"] = list(notes)
    return said | dict(more)


def called(call: ToolCall) -> dict[str, Any]:
    """A call as replies have it."""
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class ChatForm:
    """The words around one chat reply."""

    def __init__(self, identity: str, model: str, fingerprint: str, config: ServeConfig) -> None:
        self._head = {"id": identity, "created": int(time.time()), "model": model, "system_fingerprint": fingerprint}
        both = ("reasoning_content", "reasoning")
        self._thinking = both if config.reasoning_field == "both" else (config.reasoning_field,)
        self._prices = config.prices
        self._before = to_json(self._chunk([]))[: -len("]}")]

    def text(self, delta: Delta) -> str:
        """`chunk` of text that is neither the first nor has log-probs, as JSON: what a server writes most."""
        assert delta.kind in PLAIN and delta.reason is None
        said = quoted(delta.text)
        named = ",".join(f'"{name}":{said}' for name in self._names(delta.kind))
        return f'{self._before}{{"index":{delta.index},"delta":{{{named}}},"finish_reason":null}}]}}'

    def chunk(self, choice: Shown, delta: Delta, *, first: bool, with_logprobs: bool) -> dict[str, Any]:
        """One piece of a stream; `first` says that it is the first of its choice."""
        said: dict[str, Any] = {"role": "assistant"} if first else {}
        if delta.call is not None:
            said["tool_calls"] = [{"index": delta.number, **called(delta.call)}]
        elif delta.kind == "refusal":
            said |= {"content": delta.text, "refusal": delta.text}
        elif delta.kind is not None:
            said |= dict.fromkeys(self._names(delta.kind), delta.text)
        one: dict[str, Any] = {"index": delta.index, "delta": said, "finish_reason": delta.reason}
        if delta.reason is not None and choice.stop is not None:
            one["stop_reason"] = choice.stop
        if with_logprobs:
            one["logprobs"] = choice.take_logprobs()
        return self._chunk([one])

    def own(self, account: Account, notes: Sequence[str], more: Mapping[str, Any]) -> dict[str, Any]:
        """See `own`."""
        return own(self._prices, account, notes, more)

    def usage_chunk(self, account: Account) -> dict[str, Any]:
        """The last chunk of a stream that asked for it."""
        return self._chunk([]) | {"usage": usage(account)}

    def body(
        self,
        choices: Sequence[Shown],
        account: Account,
        notes: Sequence[str],
        more: Mapping[str, Any],
        with_logprobs: bool,
    ) -> dict[str, Any]:
        """A whole reply."""
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [self._whole(choice, with_logprobs) for choice in choices],
            "usage": usage(account),
            "ponder": self.own(account, notes, more),
        }

    def _whole(self, choice: Shown, with_logprobs: bool) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": choice.answer}
        if choice.withheld is not None:
            refused = message | {"content": choice.withheld, "refusal": choice.withheld}
            return {"index": choice.index, "message": refused, "finish_reason": choice.reason, "logprobs": None}
        if choice.calls:
            message |= {"content": choice.answer or None, "tool_calls": [called(call) for call in choice.calls]}
        if choice.thinking:
            message |= dict.fromkeys(self._names("thinking"), choice.thinking)
        whole: dict[str, Any] = {"index": choice.index, "message": message, "finish_reason": choice.reason}
        if choice.stop is not None:
            whole["stop_reason"] = choice.stop
        whole["logprobs"] = choice.take_logprobs() if with_logprobs else None
        return whole

    def _names(self, kind: str) -> tuple[str, ...]:
        return self._thinking if kind == "thinking" else ("content",)

    def _chunk(self, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk", "choices": list(choices)}
