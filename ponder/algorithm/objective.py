"""The losses: aligned per-token terms go in, the weighted sum to minimise and its metrics come out.

Nothing here knows a model, a mask or a denominator (see `terms` and `aggregate`), and nothing is clipped in silence:
every clip and every bound is a metric.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ponder.algorithm.kl import KLS, shape_with_kl
from ponder.algorithm.metrics import Sum
from ponder.algorithm.mismatch import truncated_weights
from ponder.algorithm.ratio import MAX_LOG_RATIO, RATIOS
from ponder.algorithm.terms import TokenTerms
from ponder.recipe.objective import Objective

__all__ = ["TokenTerms", "next_token_loss", "policy_loss"]


def policy_loss(terms: TokenTerms, objective: Objective) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The policy-gradient loss of these tokens, to minimise: the sum of weight * (kl_coefficient * kl - surrogate -
    entropy_coefficient * entropy).

    Metrics: `loss/policy` (a total); `policy/ratio` with its peak; `policy/clipped_low`, `policy/clipped_high` and both
    together as `policy/clipped` (shares of tokens); `policy/ratio_bound` (tokens whose log ratio was cut);
    `policy/entropy` in nats; `policy/mismatch` with its peak: |log-prob now - log-prob when sampled|, which on the
    first update after a rollout is the engine's error and later also holds the distance trained since. With a
    reference: `policy/kl`, and `policy/kl_bound`, tokens whose log ratio k3 cut. Advantages of the kind `gae` have a
    divergence in the reward in them already.

    With a `mismatch_cap` the ratio is to `proximal_N`, and each token's surrogate counts as `truncated_weights` says:
    `policy/weight` with its peak, and `policy/weight_capped`, the share of tokens that were cut.
    """
    reference_N = terms.reference_N
    if objective.kl_coefficient > 0 and reference_N is None:
        raise AssertionError(f"kl_coefficient is {objective.kl_coefficient}, but the terms hold no reference log-probs")
    in_reward = objective.kl_placement == "reward"
    if reference_N is not None and in_reward and objective.advantage != "gae":
        shaped_N = shape_with_kl(
            terms.advantages_N, terms.behaviour_N, reference_N, terms.sequence_N, objective.kl_coefficient
        )
        terms = replace(terms, advantages_N=shaped_N)
    cap, proximal_N = objective.mismatch_cap, terms.proximal_N
    if cap is not None and proximal_N is None:
        raise AssertionError(f"mismatch_cap is {cap}, but the terms hold no log-probs from before the first update")
    weighed: dict[str, torch.Tensor] = {}
    if cap is None or proximal_N is None:
        paid = RATIOS[objective.ratio](terms, objective.clip_low, objective.clip_high)
        loss_N = -paid.value_N
    else:
        weight_N, capped_N = truncated_weights(proximal_N, terms.behaviour_N, cap)
        old = replace(terms, behaviour_N=proximal_N)
        paid = RATIOS[objective.ratio](old, objective.clip_low, objective.clip_high)
        loss_N = -weight_N * paid.value_N
        weighed = {"policy/weight": weight_N, "policy/weight_capped": capped_N}
    if objective.entropy_coefficient > 0:
        loss_N = loss_N - objective.entropy_coefficient * terms.entropy_N

    now_N = terms.logprobs_N.detach()
    mismatch_N = (now_N - terms.behaviour_N).abs()
    measured = {
        "policy/ratio": paid.ratio_N,
        "policy/clipped": paid.low_N | paid.high_N,
        "policy/clipped_low": paid.low_N,
        "policy/clipped_high": paid.high_N,
        "policy/ratio_bound": paid.bound_N,
        "policy/entropy": terms.entropy_N,
        "policy/mismatch": mismatch_N,
        **weighed,
    }
    if reference_N is not None:
        kl_N = KLS[objective.kl_estimator](terms.logprobs_N, reference_N)
        if objective.kl_coefficient > 0 and not in_reward:
            loss_N = loss_N + objective.kl_coefficient * kl_N
        cut_N = (reference_N - now_N > MAX_LOG_RATIO) & (objective.kl_estimator == "k3")
        measured |= {"policy/kl": kl_N, "policy/kl_bound": cut_N}

    loss = (terms.weights_N * loss_N).sum()
    return loss, {"loss/policy": Sum(total=float(loss.detach())), **_sums(measured)}


def next_token_loss(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The weighted negative log-likelihood of these tokens, a scalar to minimise: pretraining and SFT.

    Uses logprobs_N, entropy_N and weights_N. Metrics: `loss/next_token` and `policy/entropy`, means over tokens in
    nats, whatever the weights.
    """
    loss = -(terms.weights_N * terms.logprobs_N).sum()
    return loss, _sums({"loss/next_token": -terms.logprobs_N, "policy/entropy": terms.entropy_N})


_PEAKS = frozenset({"policy/ratio", "policy/mismatch", "policy/weight"})
_EVENTS = frozenset({"policy/ratio_bound", "policy/kl_bound"})


def _sums(measured: dict[str, torch.Tensor]) -> dict[str, Sum]:
    """Each value over N as a sum, all fetched from the device at once."""
    values_MN = torch.stack([value_N.detach().to(torch.float64) for value_N in measured.values()])
    totals, peaks = torch.stack([values_MN.sum(1), values_MN.max(1).values]).tolist()
    count = float(values_MN.shape[1])
    return {
        key: Sum(total=total, count=None if key in _EVENTS else count, peak=peak if key in _PEAKS else None)
        for key, total, peak in zip(measured, totals, peaks, strict=True)
    }
