"""The run folder: whose it is, and the moving aside of stages that are to be redone."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

import ponder
from ponder.errors import RecipeError, RunFolderError
from ponder.files import TEMPORARY, read_json, sweep, write_json, write_text
from ponder.manifest import FORMAT, now
from ponder.nearest import did_you_mean
from ponder.pipeline.lock import LOCK
from ponder.recipe.graph import downstream
from ponder.recipe.recipe import Recipe

__all__ = ["RECIPE", "RESOLVED", "check_owner", "claim", "finish_redo", "redo", "to_redo"]

RECIPE = "recipe.yaml"
RESOLVED = "recipe.resolved.json"
"""{format, ponder, smoke, overrides, recipe}: the whole recipe with every default filled in."""

_REDO = "redo.json"


def check_owner(out: Path, recipe: Recipe, *, smoke: bool) -> None:
    """Raise RunFolderError if `out` is not empty and not this recipe's run folder. Changes nothing."""
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{str(out)!r} is a file: give --out a folder that is new or was made by this recipe")
    if not (out / RESOLVED).exists():
        if out.is_dir() and any(p.name != LOCK and not p.name.startswith(TEMPORARY) for p in out.iterdir()):
            raise RunFolderError(
                f"{str(out)!r} holds other files and no {RESOLVED}, so it is no run folder: give --out a new folder"
            )
        return
    layout, version, name, was_smoke = _made_by(out)
    if layout > FORMAT:
        raise RunFolderError(
            f"the run folder {str(out)!r} was made by the newer ponder {version} (layout {layout}, this one knows up "
            f"to {FORMAT}): upgrade ponder, or give another folder with --out"
        )
    if name != recipe.name:
        raise RunFolderError(
            f"the run folder {str(out)!r} was made by the recipe {name!r}, not by {recipe.name!r}: give another folder "
            "with --out"
        )
    if was_smoke != smoke:
        kinds = ("a full run", "a smoke run")
        raise RunFolderError(
            f"the run folder {str(out)!r} belongs to {kinds[was_smoke]}, and this is {kinds[smoke]}: give another "
            "folder with --out"
        )


def claim(out: Path, recipe: Recipe, text: str, overrides: Sequence[str], *, smoke: bool) -> None:
    """Write the recipe into the run folder, which this process has locked and checked."""
    sweep(out)
    sweep(out / "stages")
    made = {"format": FORMAT, "ponder": ponder.__version__, "smoke": smoke, "overrides": list(overrides)}
    write_json(out / RESOLVED, made | {"recipe": recipe.model_dump(mode="json")})  # first: it marks the folder as ours
    write_text(out / RECIPE, text)


def _made_by(out: Path) -> tuple[int, str, str, bool]:
    """Layout, ponder's version, recipe's name and whether for smoke, as the run folder says."""
    made = read_json(out / RESOLVED)
    try:
        return int(made["format"]), str(made["ponder"]), str(made["recipe"]["name"]), bool(made["smoke"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{str(out / RESOLVED)!r} is damaged: expected a resolved recipe, got one without {error}; restore it from "
            "a copy, or give another folder with --out"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redo:
    """A redo in progress: kept on disk until the run is over, so that the same command goes on after a kill."""

    stages: list[str]
    moves: dict[str, str]
    since: str


def to_redo(recipe: Recipe, stages: Sequence[str]) -> tuple[str, ...]:
    """`stages` and all that build on them; raises RecipeError for a name the recipe does not have."""
    for name in stages:
        if name not in recipe.stages:
            raise RecipeError(f"--redo {name}: the recipe has no such stage{did_you_mean(name, recipe.stages)}")
    return tuple(dict.fromkeys(one for stage in stages for one in (stage, *downstream(recipe, stage))))


def redo(out: Path, recipe: Recipe, stages: Sequence[str], stale: Collection[str], say: Callable[[str], None]) -> None:
    """Move the folders of `stages` and of all stages after them aside, or go on with a redo that was cut short, unless
    some of those are `stale`: made with other settings than those of now, or not as they were left."""
    if (out / _REDO).exists():
        begun = _Redo(**read_json(out / _REDO))
        _move(out, begun, say)
        if begun.stages == list(stages) and not set(stale) & set(to_redo(recipe, stages)):
            say(
                f"going on with the redo of {', '.join(stages)} begun at {begun.since} "
                f"(remove {out / _REDO} to begin it anew)"
            )
            return
    if not stages:
        return
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folders = [name for name in to_redo(recipe, stages) if (out / "stages" / name).exists()]
    moves = {name: _free(out / "stages", f"{name}.replaced-{stamp}") for name in folders}
    plan = _Redo(stages=list(stages), moves=moves, since=now())
    write_json(out / _REDO, asdict(plan))
    _move(out, plan, say)


def finish_redo(out: Path) -> None:
    """Forget the redo: the run is over."""
    (out / _REDO).unlink(missing_ok=True)


def _free(folder: Path, name: str) -> str:
    """`name`, or `name-2` and so on where that is taken."""
    numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(one for one in numbered if not (folder / one).exists())


def _move(out: Path, plan: _Redo, say: Callable[[str], None]) -> None:
    for name, aside in plan.moves.items():
        old, new = out / "stages" / name, out / "stages" / aside
        if old.exists() and not new.exists():
            old.rename(new)
            why = "to be redone" if name in plan.stages else f"built on {' and '.join(plan.stages)}"
            say(f"{name}: {why}, old folder kept as {new}")
