"""An engine from the recipe's words: the only place that knows which kinds there are."""

from collections.abc import Callable, Mapping

from ponder.policy.policy import Policy
from ponder.recipe.rollout import EngineConfig
from ponder.rollout.engine import Engine
from ponder.rollout.local import LocalEngine

__all__ = ["ENGINES", "open_engine"]

ENGINES: Mapping[str, Callable[[EngineConfig, Policy], Engine]] = {
    "local": lambda config, policy: LocalEngine(policy, config.max_slots),
}
"""Every kind of engine by its name in a recipe."""


def open_engine(config: EngineConfig, policy: Policy) -> Engine:
    """What samples completions of `policy`, of the weights it has whenever it is asked."""
    return ENGINES[config.kind](config, policy)
