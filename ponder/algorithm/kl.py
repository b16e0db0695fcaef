"""Divergence of the trained model from the reference, estimated per sampled token.

With x = log-prob under the trained model minus log-prob under the reference (Schulman's names):

    k1 = x                      unbiased, may be negative
    k2 = x^2 / 2                biased and never negative; its gradient is that of the reverse KL
    k3 = exp(-x) + x - 1        unbiased and never negative (R1, eq. 2)

All differentiate as written. The expected gradient of k1 is 0, so k1 serves in the reward, not in the loss (the recipe
refuses it there).
"""

from collections.abc import Callable

import torch

from ponder.algorithm.ratio import MAX_LOG_RATIO
from ponder.algorithm.terms import check_neighbours

__all__ = ["KLS", "k1", "k2", "k3", "shape_with_kl"]

KLFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def k1(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """log(policy / reference)."""
    return logprobs_N - reference_N


def k2(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """Half the square of log(policy / reference)."""
    return (logprobs_N - reference_N).square() / 2


def k3(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """reference / policy - log(reference / policy) - 1, with the log ratio cut at MAX_LOG_RATIO in both places.

    Cutting it in one place only would leave a gradient that pushes away from the reference.
    """
    log_ratio_N = (reference_N - logprobs_N).clamp(max=MAX_LOG_RATIO)
    return log_ratio_N.exp() - log_ratio_N - 1


KLS: dict[str, KLFunction] = {"k1": k1, "k2": k2, "k3": k3}


def shape_with_kl(
    advantages_N: torch.Tensor,
    behaviour_N: torch.Tensor,
    reference_N: torch.Tensor,
    sequence_N: torch.Tensor,
    coefficient: float,
) -> torch.Tensor:
    """Advantages when each token's reward is lowered by coefficient * k1 of the weights that sampled it.

    A token answers for itself and for what follows it in its sequence: A_t - coefficient * sum of k1 over i >= t
    (REINFORCE++, arXiv 2501.03262, section 3). The tokens of a sequence are neighbours, in order.
    """
    check_neighbours(sequence_N)
    divergence_N = k1(behaviour_N, reference_N).double()
    running_N = divergence_N.cumsum(0)
    last_S = torch.bincount(sequence_N).cumsum(0) - 1
    to_go_N = running_N[last_S][sequence_N] - running_N + divergence_N
    return advantages_N - coefficient * to_go_N.to(advantages_N.dtype)
