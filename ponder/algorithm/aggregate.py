"""Where the denominators live: from the lengths of all sequences of one optimizer step to the weight of their tokens.

Every token of sequence s weighs weight_S[s], and the loss is the plain weighted sum of the token losses. The lengths
are those of the whole step, so nothing depends on how the step is cut into micro-batches.
"""

from collections.abc import Callable

import torch

__all__ = ["AGGREGATES", "constant", "sequence_mean", "sequence_sum", "token_mean"]

AggregateFunction = Callable[[torch.Tensor, int], torch.Tensor]


def sequence_mean(lengths_S: torch.Tensor, max_tokens: int) -> torch.Tensor:
    """1 / (S * length): the mean over each output's tokens, then over outputs (DeepSeekMath eq. 3)."""
    return 1 / (len(lengths_S) * _positive(lengths_S))


def token_mean(lengths_S: torch.Tensor, max_tokens: int) -> torch.Tensor:
    """1 / (sum of lengths): the mean over all tokens (DAPO, arXiv 2503.14476, eq. 8)."""
    return torch.full_like(_positive(lengths_S), 1 / float(lengths_S.sum()))


def constant(lengths_S: torch.Tensor, max_tokens: int) -> torch.Tensor:
    """1 / (S * max_tokens): a constant, so that length earns nothing (Dr. GRPO, arXiv 2503.20783, listing 1)."""
    return torch.full_like(_positive(lengths_S), 1 / (len(lengths_S) * max_tokens))


def sequence_sum(lengths_S: torch.Tensor, max_tokens: int) -> torch.Tensor:
    """1 / S: the sum over each output's tokens, then the mean over outputs (RLOO, arXiv 2402.14740)."""
    return torch.full_like(_positive(lengths_S), 1 / len(lengths_S))


AGGREGATES: dict[str, AggregateFunction] = {
    "sequence_mean": sequence_mean,
    "token_mean": token_mean,
    "constant": constant,
    "sequence_sum": sequence_sum,
}


def _positive(lengths_S: torch.Tensor) -> torch.Tensor:
    if len(lengths_S) == 0 or int(lengths_S.min()) < 1:
        raise AssertionError(f"an optimizer step holds sequences of at least one token, got lengths {lengths_S}")
    return lengths_S.to(torch.float32)
