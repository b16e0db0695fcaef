"""The recipe: a name, a seed and stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr

from ponder.recipe.base import Component
from ponder.recipe.stages import Stage

__all__ = ["SCHEMA_VERSION", "Recipe"]

SCHEMA_VERSION = 1
"""The newest recipe schema this code reads."""

PublishedPart = Literal["R1-Zero", "SFT data", "R1"]
"""The parts whose cost was published."""


class Recipe(Component):
    """What `ponder run` runs."""

    version: int = Field(1, ge=1)
    """Version of the recipe schema."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run; the default run folder is `runs/<name>`."""
    seed: int = 0
    """Everything random derives from this seed, the stage, the step and the item."""
    published: dict[PublishedPart, tuple[str, ...]] = Field(default_factory=dict)
    """For a recipe that follows the published run of R1: the rows of its table of costs (v2, table 7), and the stages
    that each row pays for. `ponder plan` then prints its estimate beside what was published. Changes no result."""
    isolation: Literal["auto", "full", "limits"] = "auto"
    """The least isolation of programs that models write: `full` wants namespaces, `auto` namespaces or Landlock, and
    `limits` accepts a machine with neither, where programs can read what their user can read (`docs/sandbox.md`).
    Changes no result."""
    at_once: int = Field(1, ge=1, le=64)
    """So many stages run beside one another where they do not need each other, each in a process with that share of
    the machine's cores and memory, on machines without a GPU; no more than there are cores. Two on two cores pay
    for models of a few million parameters, whose steps a second core hardly makes faster; large ones want all cores
    and the memory for themselves. Numbers are those of the share of cores, whatever runs beside."""
    stages: dict[str, Stage] = Field(min_length=1)
    """Stages by name."""
    _home: Path = PrivateAttr(default_factory=Path.cwd)
    _places: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder from which the user's own files are found: that of the recipe's file, or the working directory
        where the recipe ships with ponder or is no file."""
        return self._home

    def at(self, home: Path) -> Self:
        """The same recipe as of a file in the folder `home`."""
        moved = self.model_copy()
        moved._home = home
        return moved

    def place(self, name: str) -> str:
        """Where a file of the user's own, or a function in it, is named first, as `mine.yaml:12: `; nothing where that
        is not known."""
        found = self._places.get(name) or self._places.get(name.rpartition(":")[0])
        return f"{found}: " if found else ""

    def placed(self, places: Mapping[str, str]) -> Self:
        """The same recipe, which knows where such names stand."""
        found = self.model_copy()
        found._places = places
        return found
