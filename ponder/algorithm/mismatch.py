"""How much a token counts that other probabilities drew than those its ratio is taken to.

    w = min(exp(p - behaviour), cap)

`behaviour` is the log-prob the engine drew the token with, `p` that of the trainer's own arithmetic just before the
rollout's first update. The ratio of the objective is then taken to `p`, and the token counts w times: their product
is the ratio to what drew it, with the part that no update of this rollout made cut at `cap` instead of clipped away
(truncated importance sampling, arXiv 1802.01561 eq. 1; decoupled from the clip as in AReaL, arXiv 2505.24298, eq. 5).
"""

import torch

from ponder.algorithm.ratio import bounded_exp

__all__ = ["truncated_weights"]


def truncated_weights(
    proximal_N: torch.Tensor, behaviour_N: torch.Tensor, cap: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight of each token, and which were cut at `cap`. Example: log-probs -1 now and -2 when drawn weigh 2.72,
    or 2 with a cap of 2."""
    weight_N, _ = bounded_exp(proximal_N - behaviour_N)
    return weight_N.clamp(max=cap), weight_N > cap
