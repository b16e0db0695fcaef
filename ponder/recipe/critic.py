"""The critic that learns beside a policy, for PPO."""

from pydantic import Field

from ponder.recipe.base import Component
from ponder.recipe.training import Optimizer

__all__ = ["Critic"]


class Critic(Component):
    """A second model, which learns to tell before each token what the output will still earn."""

    model: str | None = None
    """What it begins as: a stage of kind `reward_model`, or the path of such a model; null begins as the policy, with a
    row of zeros in place of its output layer."""
    clip: float | None = Field(0.2, gt=0)
    """A value that has moved this far from that of the rollout, towards the return, moves no further; null never
    clips."""
    optimizer: Optimizer | None = None
    """Optimizer and schedule; null takes the policy's."""
