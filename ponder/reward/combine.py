"""Rewards by name become the one number that the advantage is made of."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ponder.errors import RecipeError
from ponder.own import Called
from ponder.recipe.own import OwnUse, is_own
from ponder.reward import REWARDS
from ponder.reward.judged import Judged

__all__ = ["check_names", "own_rewards", "score"]

_NONE: Mapping[str, Called] = {}


def own_rewards(weights: Iterable[str]) -> tuple[OwnUse, ...]:
    """The rewards among `weights` that functions of the user's own give."""
    return tuple(OwnUse(role="reward", function=name) for name in weights if is_own(name))


def check_names(names: Iterable[str]) -> None:
    """RecipeError for a name that is no reward; functions of the user's own are looked at elsewhere."""
    for name in names:
        if name not in REWARDS and not is_own(name):
            near = get_close_matches(name, REWARDS, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise RecipeError(f"There is no reward {name!r}; {meant}Known: {', '.join(REWARDS)}.")


def score(
    judged: Judged, weights: Mapping[str, float], own: Mapping[str, Called] = _NONE
) -> tuple[dict[str, float | None], float]:
    """The rewards named in `weights`, and their weighted sum without those that do not apply. `own` is what the
    functions of the user's own gave, one for each of their names."""
    check_names(weights)
    rewards = {name: own[name].value if is_own(name) else REWARDS[name](judged) for name in weights}
    total = sum(weights[name] * reward for name, reward in rewards.items() if reward is not None)
    return rewards, float(total)
