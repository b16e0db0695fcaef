"""Judges as rewards: who reads the answers of RL while they are sampled, and what it looks at."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.endpoint import ByEndpoint, ByModel

__all__ = ["JUDGES", "Criterion", "JudgedReward", "Reader", "RubricReward"]

JUDGES = ("judged", "rubric")
"""The rewards that a judge gives, named as the keys of `rl` that say who it is."""

Reader = Annotated[ByModel | ByEndpoint, Field(discriminator="kind")]
"""A judge that reads, told apart by `kind`."""


class JudgedReward(Component):
    """The reward `judged`: 1 where a judge finds that the answer agrees with the problem's gold, else 0. For answers
    that no rule can compare (docs/judges.md)."""

    by: Reader
    """The judge. One at an endpoint is asked while sampling goes on, a model in this process after it."""
    deadline_seconds: float = Field(120.0, gt=0)
    """Longest time for one judgement at an endpoint, all its tries included, from when the first is sent. After it
    there is no reward, and nothing is learnt from that completion."""

    @model_validator(mode="after")
    def _waited_for(self) -> Self:
        if isinstance(self.by, ByModel) and "deadline_seconds" in self.model_fields_set:
            raise ValueError(
                "deadline_seconds is for a judge at an endpoint; a model in this process is waited for: remove it, and "
                "set by.max_tokens to what a judgement may take"
            )
        return self


class Criterion(Component):
    """One thing that an answer is judged by."""

    text: str = Field(pattern=r"\S", max_length=2_000)
    """What a perfect answer does, such as `names the unit`."""
    weight: float = Field(1.0, gt=0)
    """Its share of the reward, before all weights are divided by their sum."""


def _criterion(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class RubricReward(JudgedReward):
    """The reward `rubric`: from 0 to 1, the weighted mean of what a judge gives the answer for each criterion. For
    answers that have no reference at all, too (docs/judges.md)."""

    criteria: tuple[Annotated[Criterion, BeforeValidator(_criterion)], ...] = Field(min_length=1, max_length=20)
    """What is judged: a list of texts, or of `{text, weight}`."""
