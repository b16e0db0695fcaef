"""A trainer from the recipe's words: in this process, or in as many as `batch.ranks` says."""

from pathlib import Path

from ponder.errors import RecipeError
from ponder.policy import Policy
from ponder.policy.scorer import Scorer
from ponder.ranks.placed import PlacedRanks
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.group import TrainerGroup
from ponder.train.score_group import ScoreTrainerGroup
from ponder.train.score_trainer import ScoreTrainer
from ponder.train.trainer import Trainer

__all__ = ["AnyScoreTrainer", "AnyTrainer", "open_score_trainer", "open_trainer"]

AnyTrainer = Trainer | TrainerGroup
AnyScoreTrainer = ScoreTrainer | ScoreTrainerGroup
"""Both of each have the same verbs."""


def open_trainer(
    policy: Policy,
    optimizer: Optimizer,
    limits: BatchLimits,
    incident_folder: Path,
    placed: PlacedRanks | None = None,
) -> AnyTrainer:
    """What trains `policy`; close it. Ranks are children of this process, or where `placed` puts them. RecipeError for
    several ranks where there are no GPUs of CUDA and no CPU."""
    if limits.ranks == 1:
        return Trainer(policy, optimizer, limits, incident_folder=incident_folder)
    _check(limits.ranks, policy.device.type)
    return TrainerGroup(policy, optimizer, limits, incident_folder, placed)


def open_score_trainer(
    scorer: Scorer,
    optimizer: Optimizer,
    limits: BatchLimits,
    incident_folder: Path,
    placed: PlacedRanks | None = None,
) -> AnyScoreTrainer:
    """The same for a reward model."""
    if limits.ranks == 1:
        return ScoreTrainer(scorer, optimizer, limits, incident_folder)
    _check(limits.ranks, scorer.device.type)
    return ScoreTrainerGroup(scorer, optimizer, limits, incident_folder, placed)


def _check(ranks: int, device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise RecipeError(
            f"`batch.ranks` is {ranks}, but processes that train together need CUDA GPUs or CPU cores, and this "
            f"machine computes on {device!r}. Set it to 1."
        )
