"""The losses: aligned per-token terms go in, the weighted sum to minimise and its metrics come out.

Nothing here knows a model, a mask or a denominator (see `terms` and `aggregate`), and nothing is clipped in silence:
every clip and every bound is a metric.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ponder.algorithm.kl import KLS, shape_with_kl
from ponder.algorithm.metrics import Sum
from ponder.algorithm.ratio import MAX_LOG_RATIO, RATIOS
from ponder.algorithm.terms import TokenTerms
from ponder.recipe.objective import Objective

__all__ = ["TokenTerms", "next_token_loss", "policy_loss"]


def policy_loss(terms: TokenTerms, objective: Objective) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The policy-gradient loss of these tokens, to minimise: the sum of weight * (kl_coefficient * kl - surrogate).

    Metrics: `policy/loss` (a total), `policy/ratio` with its peak, `policy/clip_low` and `policy/clip_high` (shares of
    tokens), `policy/ratio_bound` (tokens whose log ratio was cut), `policy/entropy` in nats, `engine/mismatch`
    with its peak: |log-prob now - log-prob when sampled|, which on the first update after a rollout is the engine's
    error and later also holds the distance trained since. With a reference: `policy/kl`, and `policy/kl_bound`, tokens
    whose log ratio k3 cut.
    """
    reference_N = terms.reference_N
    if objective.kl_coefficient > 0 and reference_N is None:
        raise AssertionError(f"kl_coefficient is {objective.kl_coefficient}, but the terms hold no reference log-probs")
    in_reward = objective.kl_placement == "reward"
    if reference_N is not None and in_reward:
        shaped_N = shape_with_kl(
            terms.advantages_N, terms.behaviour_N, reference_N, terms.sequence_N, objective.kl_coefficient
        )
        terms = replace(terms, advantages_N=shaped_N)
    paid = RATIOS[objective.ratio](terms, objective.clip_low, objective.clip_high)
    loss_N = -paid.value_N

    now_N = terms.logprobs_N.detach()
    mismatch_N = (now_N - terms.behaviour_N).abs()
    measured = {
        "policy/ratio": paid.ratio_N,
        "policy/clip_low": paid.low_N,
        "policy/clip_high": paid.high_N,
        "policy/ratio_bound": paid.bound_N,
        "policy/entropy": terms.entropy_N,
        "engine/mismatch": mismatch_N,
    }
    if reference_N is not None:
        kl_N = KLS[objective.kl_estimator](terms.logprobs_N, reference_N)
        if objective.kl_coefficient > 0 and not in_reward:
            loss_N = loss_N + objective.kl_coefficient * kl_N
        cut_N = (reference_N - now_N > MAX_LOG_RATIO) & (objective.kl_estimator == "k3")
        measured |= {"policy/kl": kl_N, "policy/kl_bound": cut_N}

    loss = (terms.weights_N * loss_N).sum()
    return loss, _sums("policy/loss", loss, measured)


def next_token_loss(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The weighted negative log-likelihood of these tokens, a scalar to minimise: pretraining and SFT.

    Uses logprobs_N, entropy_N and weights_N. Metrics: `next_token/loss` (a total), `next_token/nll` and
    `next_token/entropy`, means over tokens in nats.
    """
    loss = -(terms.weights_N * terms.logprobs_N).sum()
    return loss, _sums(
        "next_token/loss", loss, {"next_token/nll": -terms.logprobs_N, "next_token/entropy": terms.entropy_N}
    )


_PEAKS = frozenset({"policy/ratio", "engine/mismatch"})
_EVENTS = frozenset({"policy/ratio_bound", "policy/kl_bound"})


def _sums(name: str, loss: torch.Tensor, measured: dict[str, torch.Tensor]) -> dict[str, Sum]:
    """The loss under its name and each measured value over N, fetched from the device at once."""
    values_MN = torch.stack([value_N.detach().to(torch.float64) for value_N in measured.values()])
    totals, peaks = torch.stack([values_MN.sum(1), values_MN.max(1).values]).tolist()
    count = float(values_MN.shape[1])
    sums = {name: Sum(total=float(loss.detach()))}
    for key, total, peak in zip(measured, totals, peaks, strict=True):
        sums[key] = Sum(total=total, count=None if key in _EVENTS else count, peak=peak if key in _PEAKS else None)
    return sums
