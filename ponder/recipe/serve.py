"""How a model is served: every knob of `ponder serve`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.risk import RiskConfig

__all__ = ["Prices", "ServeConfig"]


class Prices(Component):
    """What tokens cost, each price for a million of them. Costs are counted per reply and per key."""

    currency: str = Field("USD", min_length=1)
    """Name of the currency, as replies give it."""
    hit: float = Field(ge=0)
    """Prompt tokens that came from the prefix cache."""
    miss: float = Field(ge=0)
    """Prompt tokens that were computed."""
    output: float = Field(ge=0)
    """Tokens that were written, thinking included."""


class ServeConfig(Component):
    """How a model is served. Keys of a YAML file given by `--config`, or `key=value` on the command line."""

    host: str = "127.0.0.1"
    """Address to listen at. Any other than this machine's own needs `keys`."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen at; 0 takes a free one and prints it."""
    name: str | None = None
    """Name of the model in requests and replies; null takes the name of its folder or stage."""
    aliases: tuple[str, ...] = ()
    """Further names that requests may use, such as `deepseek-reasoner`."""
    template: Literal["r1-zero", "r1", "plain"] | None = None
    """Prompt form; null takes the one saved with the model."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of matrix products; `auto` takes bf16 where the machine has it."""
    device: str | None = None
    """Where the model computes, such as `cpu` or `cuda:0`; null takes a GPU where there is one."""

    lanes: int = Field(1, ge=1)
    """Processes that compute, each with the model of its own; requests are dealt out between them."""
    threads: int | None = Field(None, ge=1)
    """Threads of each lane; null deals out the machine's cores."""
    rows: int = Field(256, ge=1)
    """Completions that a lane samples at one time; more wait."""
    memory_gib: float = Field(2.0, gt=0)
    """Memory for keys and values of all that a lane has begun."""
    cache_mib: float = Field(256.0, ge=0)
    """Memory of a lane's prefix cache."""
    waiting_tokens: int = Field(1 << 20, ge=1)
    """Prompt tokens that may wait in a lane; more are answered with 503."""
    follow_seconds: float = Field(2.0, gt=0)
    """How often `--follow` looks for a newer checkpoint."""

    temperature: float | None = Field(None, ge=0)
    """Temperature where a request names none; null takes the model's generation config, else 0.6 as R1's."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Nucleus mass where a request names none; null takes the model's generation config, else 0.95."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of a completion, thinking included, where a request names no limit; null takes the rest of the
    window."""
    most_choices: int = Field(64, ge=1)
    """Most completions of one request."""
    most_samples: int = Field(256, ge=1)
    """Most samples of one vote, of one `best_of` or of one request with `retries`."""
    scorer: str | None = None
    """Folder of a trained reward model, for `best_of`; null has none."""
    reasoning_field: Literal["reasoning_content", "reasoning", "both"] = "reasoning_content"
    """Where replies put the thinking: DeepSeek's name, vLLM's, or both."""
    strict: bool = False
    """Refuse requests with fields that are unknown, instead of listing them in the header `x-ponder-ignored`."""

    keys: str | None = None
    """File of API keys, one per line as `ponder serve --new-key NAME` prints it; null asks for none."""
    hosts: tuple[str, ...] = ()
    """Names that requests may call this server by; empty are `localhost` and the address that it listens at, and with
    `keys` any."""
    origins: tuple[str, ...] = ()
    """Pages of other servers that may ask this one, such as `https://chat.example.org`; the own page always may."""
    prices: Prices | None = None
    """Prices of tokens; null counts no cost."""
    shared_preamble: bool = True
    """Share the template's own opening in the prefix cache between keys; what users wrote is never shared."""
    log: str | None = None
    """File for one JSON line per request, without texts; null writes none."""
    log_texts: bool = False
    """Write prompts and replies into the log, too."""

    risk: RiskConfig | None = None
    """Control of risky requests and replies; null controls nothing."""

    keep_alive_seconds: float = Field(10.0, gt=0)
    """Silence after which a stream sends a comment, so that proxies keep it open."""
    stalled_seconds: float = Field(60.0, gt=0)
    """Time that a reader may take nothing of a reply before it counts as gone."""
    drain_seconds: float = Field(30.0, ge=0)
    """Time that replies under way have to end once the server is told to stop."""
    body_mib: float = Field(4.0, gt=0)
    """Largest body of a request."""

    @model_validator(mode="after")
    def _texts_go_somewhere(self) -> Self:
        if self.log_texts and self.log is None:
            raise ValueError("log_texts writes prompts and replies into the log, and there is none: set log to a file")
        return self
