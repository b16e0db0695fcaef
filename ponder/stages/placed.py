"""Where a stage's engine and ranks are: here, or workers where the run's command places them."""

import re
from pathlib import Path
from typing import Any

from ponder.environment import World
from ponder.policy import Policy
from ponder.ranks.placed import PlacedRanks
from ponder.recipe.rollout import EngineConfig
from ponder.rollout import Engine, open_engine
from ponder.rollout.open import engine_kind
from ponder.stages.context import Context

__all__ = ["close_placed", "open_placed", "placed_ranks", "ranks_are_back"]


def open_placed(
    context: Context[Any],
    config: EngineConfig,
    policy: Policy,
    world: World | None = None,
    ranks: int = 1,
    model: str | None = None,
) -> Engine:
    """The engine of `config`. Conversations and policies with adapters are drawn in this process. A stage that draws
    from several models names the `model`: each has engines of its own, until `close_placed`."""
    workers = context.workers
    if workers is None or context.losses is None or world is not None or policy.adapter is not None:
        return open_engine(config, policy, world)
    known = config.model_copy(update={"kind": engine_kind(config, policy)})
    return workers.engine(known, policy, ranks, _folder(context, model), context.losses)


def close_placed(context: Context[Any], model: str) -> None:
    """End the engines that draw from this model, if there are any."""
    if context.workers is not None:
        context.workers.end_engines(_folder(context, model))


def _folder(context: Context[Any], model: str | None) -> Path:
    return context.folder if model is None else context.folder / "engines" / re.sub(r"[^A-Za-z0-9._-]+", "-", model)


def placed_ranks(context: Context[Any]) -> PlacedRanks | None:
    """Where the ranks of a stage are placed, None where they are children of this process."""
    return None if context.workers is None else context.workers.ranks(context.config.batch.ranks, context.folder)


def ranks_are_back(context: Context[Any]) -> None:
    """The trainer of a stage is open: if its ranks were lost before, the work goes on."""
    if context.losses is not None:
        context.losses.back("ranks")
