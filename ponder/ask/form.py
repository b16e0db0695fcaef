"""What is sent to an endpoint for a question, by what key its reply is remembered, and what it costs."""

from dataclasses import replace
from typing import Any

from ponder.ask.ask import Ask, Reply
from ponder.ask.log import request_key
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.seeds import derive_seed

__all__ = ["RequestForm"]


class RequestForm:
    """The requests to one endpoint, which all ask in the same way."""

    def __init__(self, endpoint: Endpoint, sampling: Sampling, seed: int) -> None:
        self._endpoint, self._sampling, self._seed = endpoint, sampling, seed
        self._parameters = {
            "base_url": endpoint.base_url,
            "model": endpoint.model,
            "temperature": None if "temperature" in endpoint.leave_out else sampling.temperature,
            "top_p": None if "top_p" in endpoint.leave_out else sampling.top_p,
            "top_k": sampling.top_k,
            "max_tokens": sampling.max_tokens,
            "seed": seed if endpoint.send_seed else None,
        }

    def key(self, ask: Ask) -> str:
        """What the reply to a question is remembered by."""
        return request_key(ask, self._parameters)

    def facts(self, ask: Ask, tries: int) -> dict[str, object]:
        """What explains a reply's line in the log."""
        return {"id": ask.id, "number": ask.number, "tries": tries, "parameters": self._parameters}

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request."""
        endpoint, sampling = self._endpoint, self._sampling
        body: dict[str, Any] = {
            "model": endpoint.model,
            "messages": [_message(message) for message in ask.messages],
            endpoint.length_parameter: sampling.max_tokens,
        }
        for name in ("temperature", "top_p"):
            if name not in endpoint.leave_out:
                body[name] = self._parameters[name]
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if endpoint.send_seed:
            body["seed"] = derive_seed(self._seed, ask.id, ask.number) % 2**31
        if endpoint.stream:
            body["stream"] = True
            if "stream_options" not in endpoint.leave_out:
                body["stream_options"] = {"include_usage": True}
        return body

    def priced(self, reply: Reply) -> Reply:
        """The reply with its cost, where prices and tokens are known."""
        into, out = self._endpoint.price_per_million_input, self._endpoint.price_per_million_output
        if into is None or out is None or reply.prompt_tokens is None or reply.completion_tokens is None:
            return replace(reply, cost=None)
        cached, hit = reply.cached_tokens or 0, self._endpoint.price_per_million_cached_input
        paid = into * (reply.prompt_tokens - cached) + (into if hit is None else hit) * cached
        return replace(reply, cost=(paid + out * reply.completion_tokens) / 1e6)


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
