"""What goes between a run and the processes that run its stages beside one another."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.rollout.carried import Carried

__all__ = ["INTERRUPTED", "Begin", "Ended", "Said", "Warned"]

INTERRUPTED = 130
"""Exit status of a process that was told to stop and has put its things in order."""


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
    """A warning, the name of its class, which may be of a module that the run's process has not, and where it came
    up."""

    message: str
    category: str
    filename: str
    lineno: int

    def show(self) -> None:
        """Show it as this process shows its own."""
        category = UserWarning if self.category == UserWarning.__name__ else type(self.category, (Warning,), {})
        warnings.showwarning(self.message, category, self.filename, self.lineno)


@dataclass(frozen=True, slots=True)
class Ended:
    """The stage is over, with what it raised, which its manifest says, too."""

    error: Carried | None = None
