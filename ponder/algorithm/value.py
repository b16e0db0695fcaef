"""The loss of a critic: its values of tokens go in, the weighted sum to minimise and its metrics come out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ponder.algorithm.metrics import Sum

__all__ = ["ValueTerms", "value_loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueTerms:
    """Per-token values over the N learnt tokens of one micro-batch. `values_N` are the critic's now and carry the
    gradient, `old_N` those it gave when the outputs were sampled, `returns_N` what it should have said; `weights_N` are
    the shares of the tokens in the whole optimizer step, as in `TokenTerms`."""

    values_N: torch.Tensor
    old_N: torch.Tensor
    returns_N: torch.Tensor
    weights_N: torch.Tensor

    def __post_init__(self) -> None:
        tensors = (self.values_N, self.old_N, self.returns_N, self.weights_N)
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if len(set(shapes)) != 1 or self.values_N.ndim != 1:
            raise AssertionError(f"value terms must be aligned over N, got shapes {shapes}")
        if any(tensor.dtype not in (torch.float32, torch.float64) for tensor in tensors):
            raise AssertionError(f"value terms are fp32 or wider, got {[tensor.dtype for tensor in tensors]}")


def value_loss(terms: ValueTerms, clip: float | None) -> tuple[torch.Tensor, dict[str, Sum]]:
    """Half the squared error of these values, a scalar to minimise: the sum of weight * max((v - R)^2, (w - R)^2) / 2,
    where w is v held within `clip` of the old value, so that a token that has moved so far in the right direction moves
    no further; None never clips.

    PPO's authors do so in their code (openai/baselines, ppo2); the paper (arXiv 1707.06347, eq. 9) has the plain error.
    Metrics: `loss/value` (a total), `critic/value` and `critic/clipped`, the share of tokens whose clip took their
    gradient.
    """
    loss_N = (terms.values_N - terms.returns_N).square() / 2
    clipped_N = torch.zeros_like(loss_N, dtype=torch.bool)
    if clip is not None:
        held_N = terms.old_N + (terms.values_N - terms.old_N).clamp(-clip, clip)
        held_loss_N = (held_N - terms.returns_N).square() / 2
        clipped_N = ((terms.values_N - terms.old_N).abs() > clip) & (held_loss_N >= loss_N)
        loss_N = torch.where(clipped_N, held_loss_N, loss_N)
    loss = (terms.weights_N * loss_N).sum()
    count = float(len(loss_N))
    values, clipped = torch.stack([terms.values_N.detach().double(), clipped_N.double()]).sum(1).tolist()
    return loss, {
        "loss/value": Sum(total=float(loss.detach())),
        "critic/value": Sum(total=values, count=count),
        "critic/clipped": Sum(total=clipped, count=count),
    }
