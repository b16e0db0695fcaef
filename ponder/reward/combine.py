"""Rewards by name become the one number that the advantage is made of."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ponder.errors import RecipeError
from ponder.reward import REWARDS
from ponder.reward.judged import Judged

__all__ = ["check_names", "score"]


def check_names(names: Iterable[str]) -> None:
    """RecipeError for a name that is no reward."""
    for name in names:
        if name not in REWARDS:
            near = get_close_matches(name, REWARDS, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise RecipeError(f"There is no reward {name!r}; {meant}Known: {', '.join(REWARDS)}.")


def score(judged: Judged, weights: Mapping[str, float]) -> tuple[dict[str, float | None], float]:
    """The rewards named in `weights`, and their weighted sum without those that do not apply."""
    check_names(weights)
    rewards = {name: REWARDS[name](judged) for name in weights}
    total = sum(weights[name] * reward for name, reward in rewards.items() if reward is not None)
    return rewards, float(total)
