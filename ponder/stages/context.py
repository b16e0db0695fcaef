"""What a stage is given: its configuration, its folder, its seed and the folders of the stages it builds on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ponder.files import EMBEDDED, expand_path
from ponder.hub import parse_hub_id
from ponder.own import OwnCode
from ponder.watch.losses import LossLog

if TYPE_CHECKING:
    from ponder.workers.open import Workers

__all__ = ["Context", "StageFunction"]

StageConfig = TypeVar("StageConfig")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Generic[StageConfig]):
    """One run of one stage.

    `folder` exists and is this stage's alone; what an earlier, interrupted session left in it is still there. `inputs`
    maps the names of other stages to their finished folders. `own` is the user's own code. `commits` are those of the
    hub's models by their names in the recipe. `continued` are the steps after which more were asked for than before.
    `workers` are where the run's command places them, None where all is done in this process and its children; what of
    them is lost goes to `losses`. `say` prints one line for the user.
    """

    config: StageConfig
    name: str
    folder: Path
    seed: int
    inputs: Mapping[str, Path]
    say: Callable[[str], None]
    commits: Mapping[str, str] = field(default_factory=dict)
    continued: tuple[int, ...] = ()
    own: OwnCode = field(default_factory=OwnCode)
    workers: "Workers | None" = None
    losses: LossLog | None = None

    def model_source(self, reference: str) -> str:
        """What to load for a model reference: the model folder of an input stage, a path, a hub id as of the run's own
        commit, an embedded one."""
        if reference in self.inputs:
            return str(self.inputs[reference] / "model")
        if reference in EMBEDDED:
            return reference
        if (hub_id := parse_hub_id(reference)) is not None:
            return hub_id.at(self.commits[reference]) if reference in self.commits else reference
        return str(expand_path(reference))


StageFunction = Callable[[Context[Any]], Mapping[str, Any]]
"""Runs a stage in `context.folder` and returns its results as plain JSON values, which go into the manifest."""
