"""Rewards of whole outputs become advantages: how much better an output is than its group.

Rewards are P groups of G outputs. Groups may differ in size, so they are P one-dimensional tensors (the rows of a
rewards_PG where all sizes agree) and so is the result. Every estimator here subtracts its own group's mean in some
form, so the advantages of a group add up to 0 (asserted), and a group whose rewards are all equal has advantage 0
throughout. A group of one output has nothing to be compared with: advantage 0.

A standard deviation is the unbiased one (divided by G - 1). R1 and DeepSeekMath print `std` without saying which; this
is what TRL, verl and OpenRLHF compute, and with G = 16 it is 3 % larger than the other.
"""

from collections.abc import Callable, Sequence

import torch

__all__ = ["ADVANTAGES", "batch_std", "group_mean", "group_mean_std", "leave_one_out"]

Rewards = Sequence[torch.Tensor]
AdvantageFunction = Callable[[Rewards, float], list[torch.Tensor]]

_ZERO_MEAN = 1e-4
"""Largest mean advantage of a group, relative to its largest advantage, that passes as rounding."""


def group_mean(rewards: Rewards, epsilon: float) -> list[torch.Tensor]:
    """r - mean(r) over the group (Dr. GRPO, arXiv 2503.20783, section 3.1). `epsilon` plays no part."""
    return _checked([group - group.mean() for group in rewards])


def group_mean_std(rewards: Rewards, epsilon: float) -> list[torch.Tensor]:
    """(r - mean(r)) / (std(r) + epsilon) over the group (R1, eq. 3)."""
    return _checked([(group - group.mean()) / (_std(group) + epsilon) for group in rewards])


def leave_one_out(rewards: Rewards, epsilon: float) -> list[torch.Tensor]:
    """r minus the mean of the group's other rewards (RLOO, arXiv 2402.14740, eq. 8). `epsilon` plays no part."""
    # r_i - (sum - r_i) / (G - 1) = (r_i - mean) * G / (G - 1)
    return _checked([(group - group.mean()) * (len(group) / max(len(group) - 1, 1)) for group in rewards])


def batch_std(rewards: Rewards, epsilon: float) -> list[torch.Tensor]:
    """r - mean(r) over the group, divided by the standard deviation of that over all groups given + epsilon.

    REINFORCE++ with baseline (arXiv 2501.03262), the variant of the paper for groups. Subtracting the batch mean again
    would change nothing: it is 0.
    """
    centred = group_mean(rewards, epsilon)
    scale = _std(torch.cat(centred)) + epsilon
    return _checked([group / scale for group in centred])


ADVANTAGES: dict[str, AdvantageFunction] = {
    "group_mean_std": group_mean_std,
    "group_mean": group_mean,
    "leave_one_out": leave_one_out,
    "batch_std": batch_std,
}


def _std(values: torch.Tensor) -> torch.Tensor:
    """Unbiased standard deviation; 1 for a single value, which is 0 after centring whatever divides it."""
    return values.std(correction=1) if len(values) > 1 else torch.ones_like(values[0])


def _checked(advantages: list[torch.Tensor]) -> list[torch.Tensor]:
    for advantages_G in advantages:
        if advantages_G.ndim != 1 or not bool(torch.isfinite(advantages_G).all()):
            raise AssertionError(f"rewards of a group are finite and one-dimensional, got advantages {advantages_G}")
        if abs(float(advantages_G.mean())) > _ZERO_MEAN * max(1.0, float(advantages_G.abs().max())):
            raise AssertionError(f"the advantages of a group must add up to 0, got {advantages_G}")
    return advantages
