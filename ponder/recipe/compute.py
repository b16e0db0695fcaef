"""What is computed beyond one sample when a model is used: one plan for the service, `ponder sample`, `ponder eval`."""

from typing import Self

from pydantic import Field, ValidationError, model_validator

from ponder.errors import RecipeError
from ponder.recipe.base import Component

__all__ = ["ComputePlan", "plan_of"]


class ComputePlan(Component):
    """What is computed beyond one sample. In a request to `ponder serve` these are the keys of `ponder`, which may also
    hold `check` and `samples`; `ponder sample` and `ponder eval` have options of the same names."""

    vote: int | None = Field(None, ge=2, le=256)
    """Samples that vote; the answer that most of them give is the reply's (self-consistency, arXiv 2203.11171)."""
    stop_early: bool = True
    """End a vote as soon as nothing that is left can change its answer."""
    abstain_below: float | None = Field(None, gt=0, le=1)
    """Share of the votes that an answer needs; with fewer the reply says that there is none."""
    best_of: int | None = Field(None, ge=2, le=256)
    """Samples of which the one with the highest score of a trained reward model is the reply."""
    retries: int = Field(0, ge=0, le=64)
    """Times to sample again after an answer that the check does not find right."""
    audit: bool = False
    """Look at every `a = b` between numbers in the thinking: right, wrong, or not to be told."""
    thinking_tokens: int | None = Field(None, ge=1)
    """Tokens of thinking after which its closing tag is forced and the answer goes on; null sets no limit."""

    @property
    def samples(self) -> int:
        """The most samples that it may take."""
        return self.vote or self.best_of or 1 + self.retries

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        ways = [name for name in ("vote", "best_of", "retries") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are different ways to choose among samples: give one of them")
        if self.abstain_below is not None and self.vote is None:
            raise ValueError("abstain_below is a share of votes, and nothing votes: set vote, or leave it out")
        return self


def plan_of(**options: object) -> ComputePlan | None:
    """The plan of the options of a command, None where none of them says anything; RecipeError for what is no plan."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    if not given:
        return None
    try:
        return ComputePlan.model_validate(given)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        place = "".join(f"--{str(part).replace('_', '-')}: " for part in one["loc"])
        raise RecipeError(f"{place}{one['msg'].removeprefix('Value error, ')}.") from None
