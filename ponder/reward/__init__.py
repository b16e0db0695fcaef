"""Rewards: named pure functions of one judged completion.

    Judged(problem, response, verdict, lengths) -> a number, or None where the reward does not apply

`rules` holds the functions, `scale` turns a reward model's score into a reward, `combine` weighs and adds them,
`canaries` proves that non-answers earn nothing.
"""

from collections.abc import Mapping

from ponder.reward.judged import Judged, RewardFunction
from ponder.reward.rules import (
    accuracy,
    chance,
    format_reward,
    language,
    length,
    overlong_penalty,
    preference,
    repetition,
)

__all__ = ["REWARDS", "Judged", "RewardFunction", "overlong_penalty"]

REWARDS: Mapping[str, RewardFunction] = {
    "accuracy": accuracy,
    "chance": chance,
    "format": format_reward,
    "language": language,
    "length": length,
    "preference": preference,
    "repetition": repetition,
}
"""Every reward a recipe can weigh, by name."""
