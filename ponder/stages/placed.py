"""Where a stage's engine and ranks are: here, or workers where the run's command places them."""

from typing import Any

from ponder.environment import World
from ponder.policy import Policy
from ponder.ranks.placed import PlacedRanks
from ponder.recipe.rollout import EngineConfig
from ponder.rollout import Engine, open_engine
from ponder.stages.context import Context

__all__ = ["open_placed", "placed_ranks", "ranks_are_back"]


def open_placed(
    context: Context[Any], config: EngineConfig, policy: Policy, world: World | None = None, ranks: int = 1
) -> Engine:
    """The engine of `config`, whose kind is known. Conversations and policies with adapters are drawn in this
    process."""
    workers = context.workers
    if workers is None or context.losses is None or world is not None or policy.adapter is not None:
        return open_engine(config, policy, world)
    return workers.engine(config, policy, ranks, context.folder, context.losses)


def placed_ranks(context: Context[Any]) -> PlacedRanks | None:
    """Where the ranks of a stage are placed, None where they are children of this process."""
    return None if context.workers is None else context.workers.ranks(context.config.batch.ranks, context.folder)


def ranks_are_back(context: Context[Any]) -> None:
    """The trainer of a stage is open: if its ranks were lost before, the work goes on."""
    if context.losses is not None:
        context.losses.back("ranks")
