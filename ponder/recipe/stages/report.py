"""The `report` stage: one page about a run."""

from typing import Literal

from pydantic import Field

from ponder.recipe.roles import Roles
from ponder.recipe.stages.base import StageBase

__all__ = ["ReportStage"]


class ReportStage(StageBase):
    """One self-contained HTML page about the stages before it."""

    kind: Literal["report"] = "report"
    """Tag of this alternative."""
    stages: tuple[str, ...] = Field(min_length=1)
    """Stages to report on."""
    roles: Roles = Roles()
    """Which stage plays which part of R1, for the tables and phenomena of the paper."""
    price_per_hour: float | None = Field(None, ge=0)
    """Money for one hour of this machine, in dollars ($2 per H800-hour in R1 v2, table 7); null leaves money out."""

    def inputs(self) -> tuple[str, ...]:
        return (*self.stages, *self.writers(), *(stage for _, stage in self.roles.named()), *self.after)

    def writers(self) -> tuple[str, ...]:
        return () if self.roles.base is None else (self.roles.base,)

    def products(self) -> tuple[str, ...]:
        return ()

    def reads(self) -> str:
        return ", ".join(self.stages)
