"""The reference model of the divergence: a frozen copy of the policy, replaced by the latest policy every so often.

R1 replaces it every 400 steps, because thousands of steps lead far away from the first one (v2, A.3).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ponder.policy import Policy, load_weights, save_policy
from ponder.train.sample import Sample
from ponder.train.trainer import Trainer

__all__ = ["Reference"]


class Reference:
    """A copy of `policy` as it was after `step` updates."""

    folder_name = "reference"
    """Where a checkpoint keeps it."""

    def __init__(self, policy: Policy, step: int) -> None:
        self._policy = policy.frozen_copy()
        self.step = step

    def renew(self, policy: Policy, step: int) -> None:
        """Become the policy as it is now."""
        self._policy.copy_weights(policy)
        self.step = step

    def annotate(self, samples: Sequence[Sample], trainer: Trainer) -> list[Sample]:
        """The samples with the log-probs this model gives their responses."""
        logprobs = trainer.logprobs(samples, self._policy)
        return [replace(s, reference=p.tolist()) for s, p in zip(samples, logprobs, strict=True)]

    def save(self, folder: Path) -> None:
        """Write the model into a checkpoint."""
        save_policy(self._policy, folder / self.folder_name)

    def load(self, folder: Path, step: int) -> None:
        """Become the model that `save` wrote after `step` updates."""
        load_weights(self._policy, folder / self.folder_name)
        self.step = step
