"""A rank: one of the processes of a group, with a trainer over its parts of the weights."""

import copy
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ponder.allocator import give_back_memory
from ponder.policy import Policy
from ponder.policy.attention import register
from ponder.policy.scorer import Scorer
from ponder.policy.storage import keep_for_products
from ponder.ranks.block import Told, with_tensors
from ponder.ranks.moments import take_part
from ponder.ranks.sharded import ShardedTeam
from ponder.ranks.weight_file import WeightFile
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.score_trainer import ScoreTrainer
from ponder.train.trainer import Trainer

__all__ = ["Rank", "RankSetup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankSetup:
    """What a rank is told. `trained` has no weights: they are where `weights` says. `meeting` is file or address."""

    rank: int
    size: int
    meeting: Path | str
    trained: Policy | Scorer
    weights: Told | WeightFile
    optimizer: Optimizer
    limits: BatchLimits
    incident_folder: Path


class Rank:
    """The verbs that a group asks of all its ranks at once; what they return is the same on each."""

    def __init__(self, setup: RankSetup) -> None:
        register()
        kind = setup.trained.device.type
        self._device = setup.trained.device
        if kind == "cuda":  # one that Ray has chosen is the only one it sees
            self._device = torch.device(kind, setup.rank % torch.cuda.device_count())
        self._team = ShardedTeam(setup.rank, setup.size, setup.meeting, self._device, setup.limits.context)
        self._empty = setup.trained
        self._block = setup.weights.opened()
        self._trained = self._filled()
        self._trainer = _trainer(self._trained, setup, self._team)

    def ask(
        self, verb: str, settings: Mapping[str, Any], arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> tuple[Any, dict[str, int]]:
        """What the trainer's method returns (of rank 0 alone), and what it knows of itself after it. The trainer's
        attributes are set to what `settings` says before."""
        trainer = self._trainer
        for name, value in settings.items():
            setattr(trainer, name, value)
        value = getattr(trainer, verb)(*arguments, **named)
        if verb == "optimizer_step":
            give_back_memory()  # what was gathered for the passes left gaps that the allocator keeps
        facts = {
            "version": trainer.version,
            "skipped": trainer.skipped,
            "tokens_per_micro_batch": trainer.tokens_per_micro_batch,
            "memory_halvings": trainer.memory_halvings,
        }
        return value if self._team.rank == 0 else None, facts

    def publish(self, **which: bool) -> None:
        """Put the trained weights into the block, or with `frozen` what they were when they were frozen."""
        self._block.put(self._trainer.weights(**which)[1], mine=self._team.rank == 0)

    def publish_frozen(self) -> None:
        """Put what the trained weights were when they were frozen into the block."""
        self.publish(frozen=True)

    def take(self) -> None:
        """Go on with the weights of the block."""
        tensors = self._block.tensors
        for name, parameter in self._trained.model.named_parameters():
            take_part(parameter, tensors[name])

    def freeze(self) -> None:
        """Keep the weights of the block as the frozen ones."""
        policy = self._filled()
        assert isinstance(policy, Policy) and isinstance(self._trainer, Trainer), "only policies are frozen"
        keep_for_products(policy.model, policy.autocast_dtype)
        self._trainer.freeze(policy)
        gc.collect()  # sharded modules hold on to themselves, and so to what was frozen before

    def _filled(self) -> Policy | Scorer:
        filled = replace(copy.deepcopy(self._empty), device=self._device)
        with_tensors(filled.model, self._block.tensors)
        return filled


def _trainer(trained: Policy | Scorer, setup: RankSetup, team: ShardedTeam) -> Trainer | ScoreTrainer:
    if isinstance(trained, Scorer):
        return ScoreTrainer(trained, setup.optimizer, setup.limits, setup.incident_folder, team)
    return Trainer(trained, setup.optimizer, setup.limits, incident_folder=setup.incident_folder, team=team)
