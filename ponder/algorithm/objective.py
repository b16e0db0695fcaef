"""The losses: aligned per-token terms go in, the weighted sum to minimise and its metrics come out.

Shapes: N trained tokens of one micro-batch, S sequences. Nothing here knows a model, a mask or a denominator: prompt
tokens are not among the N, and `weights_N` already holds the share of each token in the whole optimizer step (see
`aggregate`), so the losses of the micro-batches of one step add up to the step's loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ponder.algorithm.metrics import Sum
from ponder.recipe.objective import Objective

__all__ = ["TokenTerms", "next_token_loss", "policy_loss"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTerms:
    """What the loss needs of each trained token, aligned over N. Whole sequences only: none is split over two terms.

    `logprobs_N` and `entropy_N` come from the trained model (`logprobs_N` carries the gradient); `behaviour_N` are the
    log-probs the token was sampled with; `reference_N` those of the reference model or None; `sequence_N` numbers the
    sequence a token belongs to, from 0 within this micro-batch; `weights_N` is the share of the token in the step.
    """

    logprobs_N: torch.Tensor
    behaviour_N: torch.Tensor
    reference_N: torch.Tensor | None
    entropy_N: torch.Tensor
    advantages_N: torch.Tensor
    sequence_N: torch.Tensor
    weights_N: torch.Tensor


def policy_loss(terms: TokenTerms, objective: Objective) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The policy-gradient loss of these tokens, a scalar to minimise, and metrics."""
    raise NotImplementedError


def next_token_loss(terms: TokenTerms) -> tuple[torch.Tensor, dict[str, Sum]]:
    """The negative log-likelihood of these tokens, a scalar to minimise, and metrics."""
    raise NotImplementedError
