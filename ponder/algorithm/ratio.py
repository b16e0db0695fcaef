"""The surrogate each token is paid: advantage times an importance ratio, clipped in one of four ways.

The ratio corrects for the distance between the weights that sampled (`behaviour_N`) and the weights being trained. On
the first update after a rollout it is 1 and all four have the same direction, that of REINFORCE.

`A` is the advantage, `lp` a log-prob under the trained weights, `d` lp minus the behaviour's, `sg` a stopped gradient,
`clip` the bounds [1 - clip_low, 1 + clip_high]:

    token         r = exp(d)                    min(r A, clip(r) A)         PPO arXiv 1707.06347, DeepSeekMath eq. 3
    sequence      s = exp(mean of d)            min(s A, clip(s) A)         GSPO arXiv 2507.18071, eq. 5 to 7
    sequence_sum  R = exp(sum of d)             min(R A, clip(R) A)         REINFORCE on whole outputs, arXiv 2402.14740
    cispo         w = sg(clip(exp(d)))          w A lp                      MiniMax-M1 arXiv 2506.13585, eq. 4 and 5

Log ratios above `MAX_LOG_RATIO` are cut before exp, which therefore cannot overflow; each cut is marked and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ponder.algorithm.terms import TokenTerms

__all__ = ["MAX_LOG_RATIO", "RATIOS", "Surrogate", "bounded_exp", "cispo", "sequence", "sequence_sum", "token"]

MAX_LOG_RATIO = 20.0
"""Largest log ratio that is exponentiated: e^20 is 4.9e8, far beyond any ratio worth following, and far below the
3.4e38 where fp32 ends, so sums of squares of gradients stay finite too. There is no lower bound: exp of a very
negative number is 0 and so is its gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """What each token is paid, to be maximised, and how it came about.

    `value_N` carries the gradient; `ratio_N` is the ratio before clipping; `low_N` and `high_N` mark the tokens whose
    clip changed the result, `bound_N` those whose log ratio was cut at MAX_LOG_RATIO.
    """

    value_N: torch.Tensor
    ratio_N: torch.Tensor
    low_N: torch.Tensor
    high_N: torch.Tensor
    bound_N: torch.Tensor


RatioFunction = Callable[[TokenTerms, float | None, float | None], Surrogate]


def bounded_exp(log_ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """exp of a log ratio cut at MAX_LOG_RATIO, and which entries were cut."""
    return log_ratio.clamp(max=MAX_LOG_RATIO).exp(), log_ratio.detach() > MAX_LOG_RATIO


def token(terms: TokenTerms, clip_low: float | None, clip_high: float | None) -> Surrogate:
    """PPO's clipped surrogate with one ratio per token."""
    ratio_N, bound_N = bounded_exp(terms.logprobs_N - terms.behaviour_N)
    return _pessimistic(ratio_N, bound_N, terms.advantages_N, clip_low, clip_high)


def sequence(terms: TokenTerms, clip_low: float | None, clip_high: float | None) -> Surrogate:
    """The geometric mean of a sequence's token ratios, clipped as one.

    Written per token as sg(s) * lp / sg(lp) in probabilities (GSPO-token): its value is s, and summed over a sequence
    with weights 1 / length its gradient is that of s.
    """
    log_ratio_S, lengths_S = _sequence_sums(terms)
    ratio_S, bound_S = bounded_exp(log_ratio_S / lengths_S)
    ratio_N = ratio_S[terms.sequence_N] * _one_with_gradient(terms.logprobs_N)
    return _pessimistic(ratio_N, bound_S[terms.sequence_N], terms.advantages_N, clip_low, clip_high)


def sequence_sum(terms: TokenTerms, clip_low: float | None, clip_high: float | None) -> Surrogate:
    """The likelihood ratio of the whole output, which is one action. Summed over a sequence: value R A, gradient
    R A times that of the output's log-prob."""
    log_ratio_S, lengths_S = _sequence_sums(terms)
    ratio_S, bound_S = bounded_exp(log_ratio_S)
    ratio_N = ratio_S[terms.sequence_N] * _one_with_gradient(terms.logprobs_N)
    paid = _pessimistic(ratio_N, bound_S[terms.sequence_N], terms.advantages_N, clip_low, clip_high)
    # Each token carries the whole R A; all but one length-th of it is taken back, as a constant.
    excess_N = paid.value_N.detach() * (1 - 1 / lengths_S[terms.sequence_N])
    return replace(paid, value_N=paid.value_N - excess_N)


def cispo(terms: TokenTerms, clip_low: float | None, clip_high: float | None) -> Surrogate:
    """REINFORCE weighted by the clipped, detached token ratio: no token loses its gradient."""
    ratio_N, bound_N = bounded_exp(terms.logprobs_N.detach() - terms.behaviour_N)
    lower, upper = _bounds(clip_low, clip_high)
    return Surrogate(
        value_N=ratio_N.clamp(lower, upper) * terms.advantages_N * terms.logprobs_N,
        ratio_N=ratio_N,
        low_N=ratio_N < lower,
        high_N=ratio_N > upper,
        bound_N=bound_N,
    )


RATIOS: dict[str, RatioFunction] = {
    "token": token,
    "sequence": sequence,
    "sequence_sum": sequence_sum,
    "cispo": cispo,
}


def _bounds(clip_low: float | None, clip_high: float | None) -> tuple[float, float]:
    return (0.0 if clip_low is None else 1 - clip_low, float("inf") if clip_high is None else 1 + clip_high)


def _pessimistic(
    ratio_N: torch.Tensor,
    bound_N: torch.Tensor,
    advantages_N: torch.Tensor,
    clip_low: float | None,
    clip_high: float | None,
) -> Surrogate:
    """The smaller of the plain and the clipped surrogate: clipping can end a token's gain, never its loss."""
    lower, upper = _bounds(clip_low, clip_high)
    value_N = torch.minimum(ratio_N * advantages_N, ratio_N.clamp(lower, upper) * advantages_N)
    plain_N = ratio_N.detach()
    return Surrogate(
        value_N=value_N,
        ratio_N=plain_N,
        low_N=(plain_N < lower) & (advantages_N < 0),
        high_N=(plain_N > upper) & (advantages_N > 0),
        bound_N=bound_N,
    )


def _sequence_sums(terms: TokenTerms) -> tuple[torch.Tensor, torch.Tensor]:
    """Per sequence: the sum of its log ratios, without gradient, and its number of tokens."""
    log_ratio_N = terms.logprobs_N.detach() - terms.behaviour_N
    lengths_S = torch.bincount(terms.sequence_N).to(log_ratio_N.dtype)
    if not bool((lengths_S > 0).all()):
        raise AssertionError(f"sequence_N must number the sequences 0..S-1 without gaps, got lengths {lengths_S}")
    return torch.zeros_like(lengths_S).index_add(0, terms.sequence_N, log_ratio_N), lengths_S


def _one_with_gradient(logprobs_N: torch.Tensor) -> torch.Tensor:
    """1 in value, the gradient of the log-prob in derivative."""
    return (logprobs_N - logprobs_N.detach()).exp()
