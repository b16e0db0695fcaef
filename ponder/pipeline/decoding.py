"""How long engines on cards take to draw completions.

Sampling goes by steps, of which a rollout has as many as its longest completion has tokens: each step reads the weights
from memory and crosses the links between an engine's cards, whoever is still running, and every running row adds its
products and its keys and values. So

    seconds = steps x (weights / bandwidth + links) + tokens x (products / peak + keys and values / bandwidth)
"""

import math
from dataclasses import dataclass

from ponder.pipeline.assumed import Assumed
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.memory import PROMPT_TOKENS
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.shape import Shape

__all__ = ["Drawn", "Engine", "drawn"]

_FP32, _BF16 = 4, 2
_WEIGHTS_SHARE = 0.6
"""Of an engine's memory weights may take so much; the rest is for keys and values."""
_USABLE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine on as few cards of a cluster as hold its weights and leave room for keys and values. `held_bytes` of
    something else lie on each of them."""

    shape: Shape
    cluster: Cluster
    config: EngineConfig
    bf16: bool
    held_bytes: int = 0

    @property
    def cards(self) -> int:
        """How many those are."""
        each = 1
        while each < self.cluster.count and self.weights_bytes > (
            _WEIGHTS_SHARE * each * self.cluster.device.memory_bytes
        ):
            each *= 2
        return min(each, self.cluster.count)

    @property
    def weights_bytes(self) -> int:
        """On all of its cards."""
        return self.shape.parameters * self.number_bytes

    @property
    def number_bytes(self) -> int:
        """Of a weight, a key or a value."""
        return _BF16 if self.bf16 else _FP32

    @property
    def token_bytes(self) -> int:
        """Keys and values of a token: vLLM keeps what they are made of."""
        return (self.shape.latent if self.config.kind == "vllm" else self.shape.cached) * self.number_bytes

    def rows(self, limit: int, mean: float) -> int:
        """Completions that it draws at one time, `engine.max_slots` at most; 0 where not even one has room. vLLM has
        room for as many as have `mean` tokens; ponder's own engine, and `auto`, which may be it, for as many as can all
        reach their limit, within `engine.cache_gib` of each card."""
        memory, vllm = self.cluster.device.memory_bytes, self.config.kind == "vllm"
        free = self.cards * (_USABLE * memory - self.held_bytes) - self.weights_bytes
        if not vllm:
            free = min(free, self.cards * self.config.cache_bytes(memory))
        tokens = (mean if vllm else limit) + PROMPT_TOKENS
        return max(0, min(self.config.max_slots, int(free / (self.token_bytes * tokens))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Seconds of a rollout, infinite where not one completion has room; in `tail` of them rows have run out while the
    longest go on."""

    seconds: float
    tail: float


def drawn(engine: Engine, assumed: Assumed, *, completions: int, limit: int, cards: int) -> Drawn:
    """So many completions, on all engines that so many cards are."""
    each, shape = engine.cards, engine.shape
    mean, longest = limit * assumed.mean, limit * max(assumed.longest, assumed.mean)
    most, rows = engine.rows(limit, mean), math.ceil(completions / (cards // each))
    if not most:
        return Drawn(seconds=math.inf, tail=0.0)
    at_once = min(rows, most)
    peak = engine.cluster.peak(bf16=engine.bf16) * assumed.train_share
    bandwidth = engine.cluster.bandwidth * assumed.bandwidth_share
    read = engine.weights_bytes * (1 - (1 - min(1.0, shape.active / shape.parameters)) ** at_once)
    hops = 2 * shape.layers * assumed.hop_seconds if each > 1 else 0.0
    step = max(assumed.step_seconds, read / each / bandwidth + hops) / assumed.tokens_per_step
    row = (2 * shape.active / peak + engine.token_bytes * (mean / 2 + PROMPT_TOKENS) / bandwidth) / each
    full = rows * mean / at_once  # steps in which every row is taken
    drained = full + longest - mean
    recorded = 0.0 if engine.config.kind == "vllm" else assumed.recording_seconds
    return Drawn(seconds=recorded + drained * step + rows * mean * row, tail=(drained - full) * step)
