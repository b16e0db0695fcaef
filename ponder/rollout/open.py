"""An engine from the recipe's words: the only place that knows which kinds there are."""

from collections.abc import Callable, Mapping

from ponder.environment import World
from ponder.errors import RecipeError
from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig, check_vllm, has_vllm
from ponder.rollout.conversations import Conversations
from ponder.rollout.engine import Bounds, Engine, RenewableEngine
from ponder.rollout.live import LiveEngine
from ponder.rollout.local import LocalEngine
from ponder.rollout.room import device_bytes
from ponder.rollout.vllm_engine import VllmEngine

__all__ = ["ENGINES", "engine_kind", "open_engine"]


def _local(config: EngineConfig, policy: Policy) -> RenewableEngine:
    return LocalEngine(policy, config.max_slots, cache_bytes=config.cache_bytes(device_bytes(policy.device)))


def _vllm(config: EngineConfig, policy: Policy) -> RenewableEngine:
    check_vllm()
    return VllmEngine(policy, config.max_slots, config.parity_tolerance)


ENGINES: Mapping[str, Callable[[EngineConfig, Policy], RenewableEngine]] = {"local": _local, "vllm": _vllm}
"""Every kind of engine by its name in a recipe."""


_UNBOUNDED = 1 << 50
"""Bytes, or tokens: a batch that is known is bounded by its rows."""


def engine_kind(config: EngineConfig, policy: Policy, world: World | None = None) -> str:
    """What `auto` is for this policy on this machine; any other kind as it is."""
    if config.kind != "auto":
        return config.kind
    known = policy.device.type == "cuda" and policy.adapter is None and world is None and has_vllm()
    return "vllm" if known else "local"


def open_engine(
    config: EngineConfig, policy: Policy, world: World | None = None, thinking_tokens: int | None = None
) -> Engine:
    """What samples completions of `policy`, of the weights it has whenever it is asked; conversations where there is a
    `world` that answers. With `thinking_tokens` a thought is ended after so many. These two are ponder's own engine's:
    RecipeError for `vllm`, which is one that can be asked for by name only."""
    if config.kind == "vllm" and (world is not None or thinking_tokens is not None):
        asked = "conversations with an environment" if world is not None else "a limit on tokens of thinking"
        raise RecipeError(f"`engine.kind` is vllm, and {asked} need ponder's own engine: set it to local")
    if thinking_tokens is not None:
        assert world is None, "a limit of thinking is for single replies"
        bounds = Bounds(rows=config.max_slots, memory_bytes=_UNBOUNDED, waiting_tokens=_UNBOUNDED)
        return LiveEngine(policy, bounds, thinking_tokens=thinking_tokens)
    if world is not None:
        return Conversations(policy, world, config.max_slots)
    return ENGINES[engine_kind(config, policy)](config, policy)
