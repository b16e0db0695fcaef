"""What goes between a run and the processes that run its stages beside one another."""

from dataclasses import dataclass
from pathlib import Path

from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.rollout.carried import Carried

__all__ = ["Begin", "Ended", "Said", "Warned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A stage to bring to its end in the run folder `out`; `clock` is when the run began."""

    standing: Standing
    recipe: Recipe
    out: Path
    clock: str
    smoke: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the user."""

    line: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, and where it came up."""

    message: str
    category: type[Warning]
    filename: str
    lineno: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The stage is over, with what it raised, which its manifest says, too."""

    error: Carried | None = None
