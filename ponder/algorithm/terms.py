"""What a loss is made of: values aligned over the N trained tokens of one micro-batch.

Prompt tokens are not among the N, so no formula re-derives a mask. The S sequences are whole and numbered 0..S-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["TokenTerms", "check_neighbours"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTerms:
    """Per-token values over N. Example: two sequences of 2 and 1 tokens have sequence_N = [0, 0, 1].

    `logprobs_N` and `entropy_N` are the trained model's, and `logprobs_N` carries the gradient; `behaviour_N` are the
    log-probs the tokens were sampled with; `reference_N` the reference model's, or None where none is kept;
    `advantages_N` repeats each sequence's advantage; `weights_N` is the share of a token in the whole optimizer step,
    made by `aggregate`, so that the losses of the micro-batches of a step add up to the loss of the step.
    `proximal_N` are the trained model's log-probs before the rollout's first update, or None where they are not asked.
    """

    logprobs_N: torch.Tensor
    behaviour_N: torch.Tensor
    reference_N: torch.Tensor | None
    entropy_N: torch.Tensor
    advantages_N: torch.Tensor
    sequence_N: torch.Tensor
    weights_N: torch.Tensor
    proximal_N: torch.Tensor | None = None

    def __post_init__(self) -> None:
        floats = [self.logprobs_N, self.behaviour_N, self.entropy_N, self.advantages_N, self.weights_N]
        floats += [one for one in (self.reference_N, self.proximal_N) if one is not None]
        shapes = [tuple(tensor.shape) for tensor in (*floats, self.sequence_N)]
        if len(set(shapes)) != 1 or self.logprobs_N.ndim != 1:
            raise AssertionError(f"token terms must be aligned over N, got shapes {shapes}")
        if any(tensor.dtype not in (torch.float32, torch.float64) for tensor in floats):
            raise AssertionError(f"token terms are fp32 or wider, got {[tensor.dtype for tensor in floats]}")
        if self.sequence_N.dtype != torch.int64:
            raise AssertionError(f"sequence_N numbers sequences as int64, got {self.sequence_N.dtype}")


def check_neighbours(sequence_N: torch.Tensor) -> None:
    """The tokens of a sequence stand together, in order, and sequences are numbered as they come."""
    steps = sequence_N[1:] - sequence_N[:-1]
    if not bool(((steps == 0) | (steps == 1)).all()):
        raise AssertionError(f"the tokens of a sequence must be neighbours, got {sequence_N}")
