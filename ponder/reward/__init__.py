"""Rewards: named pure functions of one judged completion.

    Judged(problem, response, verdict, lengths) -> a number, or None where the reward does not apply

`rules` holds the functions, `scale` turns a reward model's score into a reward, `grade` is what a judge gives,
`combine` weighs and adds them, `canaries` proves that non-answers earn nothing.
"""

from collections.abc import Mapping

from ponder.recipe.judges import JUDGES
from ponder.reward.judged import Judged, RewardFunction
from ponder.reward.rules import (
    accuracy,
    by_judge,
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
    **{name: by_judge(name) for name in JUDGES},
    "language": language,
    "length": length,
    "preference": preference,
    "repetition": repetition,
}
"""Every reward a recipe can weigh, by name."""
