"""Models that answer questions about a recipe's data: at an endpoint, in this process, or a rule in their place."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ponder.recipe.base import Component

__all__ = ["ByChance", "ByEndpoint", "ByModel", "ByRule", "Endpoint", "Helper", "Referee"]

_ADDRESS = re.compile(r"https?://[^/\s]+[^\s]*$")


class Endpoint(Component):
    """A server that speaks the chat-completions interface of OpenAI: a hosted model, or one served on your machines."""

    base_url: str
    """Address up to and without `/chat/completions`, such as `https://api.deepseek.com/v1`."""
    model: str = Field(min_length=1)
    """Name the server knows the model by."""
    api_key_env: str | None = None
    """Environment variable that holds the key; null sends none. The key itself never stands in a recipe, a record or a
    message."""
    max_concurrency: int = Field(16, ge=1)
    """Requests under way at one time."""
    timeout_seconds: float = Field(1800.0, gt=0)
    """Longest time for one whole reply. Long thoughts take long: 32,768 tokens at 30 a second are 18 minutes."""
    retries: int = Field(6, ge=0)
    """Further tries of a request after a timeout, a lost connection, status 408, 409, 425, 429 or 5xx, or a reply that
    cannot be read. Waits double from one second on, or are what the server asks for in `Retry-After`."""
    max_wait_seconds: float = Field(120.0, gt=0)
    """Longest wait between two tries, also where the server asks for more."""
    max_failures: float = Field(0.05, ge=0, le=1)
    """Share of requests that may fail for good; above it the stage stops, and the same command asks those again. Fewer
    are counted and listed, and the stage goes on without them."""
    price_per_million_input: float | None = Field(None, ge=0)
    """Price of a million prompt tokens, in any currency; null counts no cost."""
    price_per_million_cached_input: float | None = Field(None, ge=0)
    """Price of a million prompt tokens that the server found in its cache, where it tells how many; null pays them like
    the others."""
    price_per_million_output: float | None = Field(None, ge=0)
    """Price of a million sampled tokens, thinking included; null counts no cost."""
    stream: bool = False
    """Receive the reply piece by piece: for servers or proxies that close connections which stay silent."""
    send_seed: bool = False
    """Send a seed with each request; servers that do not know the field may refuse it."""
    length_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the length limit."""
    leave_out: tuple[Literal["temperature", "top_p", "stream_options"], ...] = ()
    """Fields that are not sent, for servers that refuse them: some models take no `temperature`, or not both it and
    `top_p`, and sample with their own; without `stream_options` a streamed reply may come without counts of tokens."""

    @model_validator(mode="after")
    def _address(self) -> Self:
        if not _ADDRESS.match(self.base_url):
            raise ValueError(
                f"base_url {self.base_url!r} is no address: expected http:// or https:// and a host, such as "
                "https://api.deepseek.com/v1 or http://localhost:8000/v1"
            )
        try:
            port = urlsplit(self.base_url).port
        except ValueError as error:
            raise ValueError(f"base_url {self.base_url!r} is no address: {error}") from None
        if port == 0:
            raise ValueError(f"base_url {self.base_url!r} is no address: no server listens at port 0")
        if "@" in self.base_url.partition("://")[2].partition("/")[0]:
            raise ValueError(
                f"base_url has a name or password before its host ({self.base_url.rpartition('@')[2]!r}), which would "
                f"stand in records and messages: take it out, and put a key into a variable that `api_key_env` names"
            )
        if self.base_url.rstrip("/").endswith("/chat/completions"):
            raise ValueError(f"base_url {self.base_url!r} goes too far: leave /chat/completions out, it is added")
        return self


class ByRule(Component):
    """The embedded world's own rule: nothing is asked, nothing is paid."""

    kind: Literal["rule"] = "rule"
    """Tag of this alternative."""


class ByModel(Component):
    """A model in this process."""

    kind: Literal["model"] = "model"
    """Tag of this alternative."""
    model: str
    """A stage's name, a path, a hub id, `micro` or `micro-student`, the embedded models."""
    template: Literal["r1-zero", "r1", "plain"] | None = None
    """Prompt form; null takes the one saved with the model."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus mass."""
    max_tokens: int = Field(4096, ge=1)
    """Longest reply."""


class ByEndpoint(Component):
    """A model at an endpoint (DeepSeek-V3 in the paper)."""

    kind: Literal["endpoint"] = "endpoint"
    """Tag of this alternative."""
    endpoint: Endpoint
    """The server."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus mass."""
    max_tokens: int = Field(8192, ge=1)
    """Longest reply, thinking included."""


Helper = Annotated[ByRule | ByModel | ByEndpoint, Field(discriminator="kind")]
"""Who judges or rewrites, told apart by `kind`."""


class ByChance(Component):
    """A coin: what is learnt from it is noise, so it is a control, and a judge for models that have learnt nothing."""

    kind: Literal["chance"] = "chance"
    """Tag of this alternative."""


Referee = Annotated[ByRule | ByChance | ByModel | ByEndpoint, Field(discriminator="kind")]
"""Who judges what a `sample` stage makes, told apart by `kind`."""
