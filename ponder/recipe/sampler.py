"""Problems that follow the model, and training that ends when it gains nothing more."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component

__all__ = ["Sampler", "Stop"]

Share = Annotated[float, Field(ge=0, le=1)]


class Sampler(Component):
    """Which problems are drawn, by how often the model solves them: those it always or never solves teach nothing."""

    by: Literal["solve_rate"] = "solve_rate"
    """Tag of this alternative."""
    keep: tuple[Share, Share] = (0.2, 0.8)
    """Least and greatest solve rate of the problems that are drawn. That of a problem not yet tried is taken to be that
    of its kind (domain, difficulty, language) of late; what is of an unknown kind is tried."""
    domain_share: tuple[Share, Share] | None = (0.05, 1.0)
    """Least and greatest share of each domain. In between a domain is drawn in proportion to how many problems it has
    and how many of its groups taught something of late, so that the least keeps those in sight that are too hard as
    yet. Null draws by the weights of the sources alone."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.keep[0] < self.keep[1]:
            raise ValueError(f"keep must be two solve rates from 0 to 1, the least first, got {list(self.keep)}")
        share = self.domain_share
        if share is not None and not share[0] < share[1]:
            raise ValueError(f"domain_share must be two shares from 0 to 1, the least first, got {list(share)}")
        return self


class Stop(Component):
    """When training ends before its last step."""

    patience: int = Field(ge=1)
    """Measurements of held-out accuracy in a row without a gain after which it ends."""
    least_gain: float = Field(0.0, ge=0, lt=1)
    """By so much must pass@1 lie above the best before to be a gain; what the interval of a measurement spans is
    noise."""
