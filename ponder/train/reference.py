"""The reference model of the divergence: a frozen copy of the policy, replaced by the latest policy every so often.

R1 replaces it every 400 steps, because thousands of steps lead far away from the first one (v2, A.3).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ponder.train.open import AnyTrainer
from ponder.train.sample import Sample

__all__ = ["Reference"]


class Reference:
    """The trained weights as they were after `step` updates, kept frozen by the trainer."""

    folder_name = "reference"
    """Where a checkpoint keeps it."""

    def __init__(self, trainer: AnyTrainer, step: int) -> None:
        self._trainer = trainer
        self.renew(step)

    def renew(self, step: int) -> None:
        """Become the policy as it is now."""
        self._trainer.freeze()
        self.step = step

    def annotate(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples with the log-probs this model gives their responses."""
        logprobs = self._trainer.logprobs(samples, frozen=True)
        return [replace(s, reference=p.tolist()) for s, p in zip(samples, logprobs, strict=True)]

    def save(self, folder: Path) -> None:
        """Write the model into a checkpoint."""
        self._trainer.save_frozen(folder / self.folder_name)

    def load(self, folder: Path, step: int) -> None:
        """Become the model that `save` wrote after `step` updates."""
        self._trainer.load_frozen(folder / self.folder_name)
        self.step = step
