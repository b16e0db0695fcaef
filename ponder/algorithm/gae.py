"""Advantages of single tokens, from what a critic expected before each: generalized advantage estimation.

A critic's value `v_t` is what it expects the output still to earn before its token t, so that with `r_t` what token t
earns and 0 after the last token (arXiv 1506.02438, eq. 11 and 16, with the sum written backwards):

    d_t = r_t + gamma v_{t+1} - v_t
    A_t = d_t + gamma lambda A_{t+1}
    R_t = A_t + v_t                        what the critic should have expected

With lambda 1 and gamma 1 an advantage is all that the output still earned minus what was expected, and R_t is the
former; with lambda 0 it is the surprise of a single token. Tokens that are only read, such as those of a tool's answer,
are not among the N: they earn nothing, and the value before the next learnt token has seen them.
"""

import torch

from ponder.algorithm.kl import k1
from ponder.algorithm.terms import check_neighbours

__all__ = ["explained_variance", "generalized_advantages", "token_rewards", "whiten"]


def token_rewards(
    rewards_S: torch.Tensor,
    behaviour_N: torch.Tensor,
    reference_N: torch.Tensor | None,
    sequence_N: torch.Tensor,
    coefficient: float,
) -> torch.Tensor:
    """What each token earns: the last one its output's reward, and each minus coefficient * k1 of the weights that
    sampled it (arXiv 1909.08593, eq. 2). Without reference log-probs there is no divergence to pay."""
    check_neighbours(sequence_N)
    last_S = torch.bincount(sequence_N).cumsum(0) - 1
    rewards_N = torch.zeros(len(sequence_N), dtype=torch.float64, device=sequence_N.device)
    if reference_N is not None:
        rewards_N -= coefficient * k1(behaviour_N, reference_N).double()
    return rewards_N.index_add(0, last_S, rewards_S.double())


def generalized_advantages(
    rewards_N: torch.Tensor, values_N: torch.Tensor, sequence_N: torch.Tensor, gamma: float, lambda_: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(A_N, R_N) in float64 of S outputs whose tokens are neighbours, in order; every output ends, also one that was
    cut off at its limit."""
    check_neighbours(sequence_N)
    lengths_S = torch.bincount(sequence_N)
    starts_S = lengths_S.cumsum(0) - lengths_S
    place_N = torch.arange(len(sequence_N), device=sequence_N.device) - starts_S[sequence_N]
    longest = int(lengths_S.max())
    # Behind the end of an output rewards, values and so advantages are 0, as the formula wants them.
    rewards_TS, values_TS = (
        torch.zeros(longest + 1, len(lengths_S), dtype=torch.float64, device=sequence_N.device).index_put(
            (place_N, sequence_N), each_N.double()
        )
        for each_N in (rewards_N, values_N)
    )
    advantages_TS = torch.zeros_like(rewards_TS)
    surprise_TS = rewards_TS[:-1] + gamma * values_TS[1:] - values_TS[:-1]
    for t in reversed(range(longest)):
        advantages_TS[t] = surprise_TS[t] + gamma * lambda_ * advantages_TS[t + 1]
    advantages_N = advantages_TS[place_N, sequence_N]
    return advantages_N, advantages_N + values_N.double()


def whiten(advantages_N: torch.Tensor, epsilon: float) -> torch.Tensor:
    """(A - mean) / (std + epsilon) over all tokens; a single token has advantage 0."""
    if len(advantages_N) < 2:
        return torch.zeros_like(advantages_N)
    return (advantages_N - advantages_N.mean()) / (advantages_N.std(correction=1) + epsilon)


def explained_variance(values_N: torch.Tensor, returns_N: torch.Tensor) -> float:
    """1 - Var(R - v) / Var(R): 1 where the critic foresaw all, 0 where a constant would have done as well, below 0
    where it would have done better. NaN where all returns are equal: nothing is there to explain."""
    spread = float(returns_N.double().var(correction=0))
    return 1 - float((returns_N - values_N).double().var(correction=0)) / spread if spread > 0 else float("nan")
