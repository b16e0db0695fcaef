"""What the trainer makes of a rollout's tokens before it learns from them: the log-probs that ratios are taken to."""

from collections.abc import Sequence
from dataclasses import replace

from ponder.train.open import AnyTrainer
from ponder.train.sample import Sample

__all__ = ["with_proximal"]


def with_proximal(groups: Sequence[Sequence[Sample]], trainer: AnyTrainer) -> list[list[Sample]]:
    """The same samples with the log-probs that the weights as they are give their responses."""
    found = iter(trainer.logprobs([sample for group in groups for sample in group]))
    return [[replace(sample, proximal=next(found).tolist()) for sample in group] for group in groups]
