"""A stage as it would be placed on a machine of many cards: how many ranks train it, how many share a pass, and what
engine draws."""

from dataclasses import replace

from ponder.errors import ModelError
from ponder.pipeline.assumed import PUBLISHED_ENGINE
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.forecast import Line
from ponder.pipeline.memory import Trained
from ponder.pipeline.plan_words import counted
from ponder.pipeline.shape import Shape, find_shape
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.shape import check_context
from ponder.recipe.stages import EvaluateStage, RlStage, SampleStage, SftStage

__all__ = ["as_placed", "is_published", "machine_line", "why_one_rank"]

_CONTEXTS = (1, 2, 4, 8, 16, 32, 64)


def as_placed(recipe: Recipe, standing: Standing, cluster: Cluster, context: int | None) -> Standing:
    """The stage with all cards as ranks where its recipe says one and several can train, with passes shared by
    `context` of them, None for as many as it says, and with the engine of R1's authors where the recipe follows their
    run and names none. ModelError for a placement that cannot be."""
    stage = standing.stage
    if (
        isinstance(stage, RlStage | SampleStage | EvaluateStage)
        and is_published(recipe, standing.name)
        and stage.engine == EngineConfig()
    ):
        stage = stage.model_copy(update={"engine": PUBLISHED_ENGINE})
    if isinstance(stage, Trained):
        shape = find_shape(recipe, standing.name)
        ranks, shared = _ranks(standing.name, stage, cluster), stage.batch.context
        if context is not None and why_one_rank(stage) is None:
            shared = context
        if isinstance(shape, Shape):
            said = f"stage {standing.name!r}: `batch.context`" if context is None else "--context"
            check_context(shape.heads, standing.name, shared, said)
        _check_shared(standing.name, ranks, shared, shape.heads if isinstance(shape, Shape) else ranks)
        batch = stage.batch.model_copy(update={"ranks": ranks, "context": shared})
        stage = stage.model_copy(update={"batch": batch})
    return replace(standing, stage=stage)


def is_published(recipe: Recipe, name: str) -> bool:
    """Whether the recipe names a stage as part of a published run."""
    return any(name in stages for stages in dict(recipe.published or {}).values())


def why_one_rank(stage: Trained) -> str | None:
    """Why one process trains it alone, as the recipe's own checks have it; None where several can."""
    if isinstance(stage, SftStage) and stage.lora is not None:
        return "adapters are trained by one process"
    if isinstance(stage, RlStage) and stage.learnt_critic() is not None:
        return "the critic of the objective 'ppo' is trained by one process"
    return None


def machine_line(name: str, asked: Trained, placed: Trained, cluster: Cluster) -> Line:
    """Example: 8 H100 (74.5 GiB each), 8 ranks that train (set stages.zero.batch.ranks=8; the recipe has 1)."""
    ranks = placed.batch.ranks
    told = f"{cluster.name}, {counted(ranks, 'rank')} that train{'s' if ranks == 1 else ''}"
    changed = [key for key in ("ranks", "context") if getattr(asked.batch, key) != getattr(placed.batch, key)]
    if changed:
        setting = " ".join(f"stages.{name}.batch.{key}={getattr(placed.batch, key)}" for key in changed)
        has = " and ".join(str(getattr(asked.batch, key)) for key in changed)
        told += f" (set {setting}; the recipe has {has})"
    elif (reason := why_one_rank(placed)) is not None and cluster.count > 1:
        told += f": {reason}"
    return "machine", told


def _ranks(name: str, stage: Trained, cluster: Cluster) -> int:
    """As many as the recipe says; where that is one, all cards that no engine draws on meanwhile, if several can."""
    asked = stage.batch.ranks
    if asked > cluster.count:
        raise ModelError(
            f"stage {name!r}: `batch.ranks` is {asked}, but {cluster.name} has {counted(cluster.count, 'card')}, and "
            f"every rank needs one of its own: set it to {cluster.count} or less, or plan a larger machine"
        )
    if asked > 1 or why_one_rank(stage) is not None:
        return asked
    ahead = isinstance(stage, RlStage) and stage.engine.lag > 0
    return max(1, cluster.count - ahead)


def _check_shared(name: str, ranks: int, context: int, heads: int) -> None:
    if context & (context - 1) or ranks % context:
        fitting = ", ".join(str(one) for one in _CONTEXTS if ranks % one == 0 and heads % one == 0)
        raise ModelError(
            f"--context is {context}, but stage {name!r} is trained by {counted(ranks, 'rank')}: they share a pass by "
            f"twos, fours and so on, so it must be a power of two that divides them. What fits: {fitting}"
        )
