"""A trainer of policies in several processes, each with a part of weights, gradients and optimizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ponder.algorithm import Sum
from ponder.policy import Policy, load_weights, save_policy
from ponder.ranks.placed import PlacedRanks
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.rank_group import RankGroup
from ponder.train.sample import Sample
from ponder.train.trainer import Loss, load_trained, save_trained

__all__ = ["TrainerGroup"]


class TrainerGroup(RankGroup):
    """See `Trainer` for the verbs."""

    def __init__(
        self,
        policy: Policy,
        optimizer: Optimizer,
        limits: BatchLimits,
        incident_folder: Path = Path("incidents"),
        placed: PlacedRanks | None = None,
    ) -> None:
        super().__init__(policy, optimizer, limits, incident_folder, placed)
        self._policy = policy
        self.temperature = 1.0

    def forward_backward(self, samples: Sequence[Sample], loss: Loss) -> dict[str, Sum]:
        """The sums of all ranks. `loss` must be a function that can be pickled."""
        metrics: dict[str, Sum] = self._ask("forward_backward", samples, loss)
        return metrics

    def logprobs(self, samples: Sequence[Sample], *, frozen: bool = False) -> list[torch.Tensor]:
        """Each rank computes some."""
        found: list[torch.Tensor] = self._ask("logprobs", samples, frozen=frozen)
        return found

    def mismatch(self, samples: Sequence[Sample]) -> dict[str, float]:
        """As the ranks compute it."""
        found: dict[str, float] = self._ask("mismatch", samples)
        return found

    def freeze(self) -> None:
        """The ranks keep parts of the frozen weights, too."""
        self.publish()
        self._crew.call("freeze")

    def save(self, folder: Path) -> None:
        """The weights as one process writes them, the optimizer's state in a folder `optimizer/`."""
        self.publish()
        save_trained(self._policy, folder)
        self._ask("save_state", folder.absolute())

    def load(self, folder: Path) -> None:
        """From what any number of ranks, or one process, wrote."""
        load_trained(self._policy, folder)
        self._hand_out()
        self._ask("load_state", folder.absolute())

    def save_frozen(self, folder: Path) -> None:
        """By way of the policy in this process, which has its own weights again afterwards."""
        self._crew.call("publish_frozen")
        self._block.read(self._policy.model)
        save_policy(self._policy, folder)
        self._stale = True
        self.publish()

    def load_frozen(self, folder: Path) -> None:
        """By way of the policy in this process, which has its own weights again afterwards."""
        load_weights(self._policy, folder)
        self._block.write(self._policy.model)
        self._crew.call("freeze")
        self._stale = True
        self.publish()

    def _settings(self) -> Mapping[str, Any]:
        return {"temperature": self.temperature}
