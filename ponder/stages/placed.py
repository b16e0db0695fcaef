"""Where a stage's engine is: in this process, or workers where the run's command places them."""

from typing import Any

from ponder.environment import World
from ponder.policy import Policy
from ponder.recipe.rollout import EngineConfig
from ponder.rollout import Engine, open_engine
from ponder.stages.context import Context

__all__ = ["open_placed"]


def open_placed(
    context: Context[Any], config: EngineConfig, policy: Policy, world: World | None = None, ranks: int = 1
) -> Engine:
    """The engine of `config`, whose kind is known. Conversations and policies with adapters are drawn in this
    process."""
    workers = context.workers
    if workers is None or context.losses is None or world is not None or policy.adapter is not None:
        return open_engine(config, policy, world)
    return workers.engine(config, policy, ranks, context.folder, context.losses)
