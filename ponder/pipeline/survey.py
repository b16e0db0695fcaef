"""What a recipe's stages are and how far each one is in a run folder. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ponder.errors import ModelError
from ponder.files import TEMPORARY, sealed
from ponder.hub import hub_commit, parse_hub_id
from ponder.manifest import MANIFEST, Manifest, is_done, read_manifest, updates_made
from ponder.pipeline.fingerprint import differences, fingerprint, grew, identities, pinned, stage_seed
from ponder.recipe.graph import edges, model_references, order
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import Stage

__all__ = ["Standing", "State", "survey"]

State = Literal["new", "unfinished", "done", "grown", "different", "damaged"]
"""`grown`: begun or done, and now to be trained longer, with nothing else changed. `damaged`: what its folder should
hold is not there, or not as the stage left it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One stage in one run folder. `differences` say how its settings, or its files, are others than its folder says;
    `made` are the updates that its last checkpoint has."""

    name: str
    stage: Stage
    needs: tuple[str, ...]
    folder: Path
    seed: int
    identity: Mapping[str, Any]
    fingerprint: str
    state: State
    differences: tuple[str, ...]
    made: int
    manifest: Manifest | None


def survey(recipe: Recipe, out: Path, *, smoke: bool, ask_hub: bool = False) -> tuple[Standing, ...]:
    """The stages in running order; raises RunFolderError for a manifest that cannot be read.

    A model of the hub is that of the commit which the run folder's manifests name; one that none names yet is looked up
    in the hub's cache, or with `ask_hub` at the hub, which raises ModelError where it cannot be found.
    """
    graph = edges(recipe)
    found = identities(recipe, smoke, {} if smoke else _commits(recipe, out, ask_hub=ask_hub))
    return tuple(_standing(recipe, name, graph[name], out / "stages" / name, found[name]) for name in order(recipe))


def _commits(recipe: Recipe, out: Path, *, ask_hub: bool) -> dict[str, str]:
    """The commits of the hub's models by their names in the recipe, as far as they are known."""
    commits: dict[str, str] = {}
    for name in order(recipe):
        manifest = read_manifest(out / "stages" / name)
        for reference, commit in pinned(manifest.identity if manifest is not None else {}).items():
            commits.setdefault(reference, commit)
    for reference in {one for stage in recipe.stages.values() for one in model_references(stage)} - commits.keys():
        if reference in recipe.stages or (hub_id := parse_hub_id(reference)) is None:
            continue
        try:
            commits[reference] = hub_commit(hub_id, cached=not ask_hub)
        except ModelError as error:
            if ask_hub:
                raise ModelError(f"The model {reference!r} cannot be had: {error}.") from error
    return commits


def _damage(manifest: Manifest, stage: Stage, folder: Path) -> tuple[str, ...]:
    """How the files that others read are not those that the stage left when it was done."""
    if manifest.products is None:  # done by a ponder that did not write them down
        return tuple(f"{name} is gone" for name in stage.products() if not (folder / name).exists())
    there = sealed(folder, stage.products())
    return tuple(
        f"{name} is {'gone' if name not in there else 'not as the stage left it'}"
        for name, content in manifest.products.items()
        if there.get(name) != content
    )


def _standing(recipe: Recipe, name: str, needs: tuple[str, ...], folder: Path, identity: Mapping[str, Any]) -> Standing:
    manifest = read_manifest(folder)
    own, made = fingerprint(identity), updates_made(folder)
    state: State = "new"
    changed: tuple[str, ...] = ()
    if manifest is not None and manifest.fingerprint != own and {path.name for path in folder.iterdir()} == {MANIFEST}:
        manifest = None  # it failed before it made anything, so nothing is lost by beginning anew
    elif manifest is not None and manifest.fingerprint != own:
        finished = made if manifest.status == "done" else None
        longer = grew(recipe.stages[name].lengths(), manifest.identity, identity, finished)
        state, changed = "grown" if longer else "different", differences(manifest.identity, identity)
    elif manifest is not None:
        state = "done" if is_done(folder) and manifest.status == "done" else "unfinished"
        changed = _damage(manifest, recipe.stages[name], folder) if state == "done" else ()
    elif folder.exists() and not (folder.is_dir() and all(one.name.startswith(TEMPORARY) for one in folder.iterdir())):
        changed = (f"{MANIFEST} is gone",)
    state = "damaged" if changed and state in ("done", "new") else state
    return Standing(
        name=name,
        stage=recipe.stages[name],
        needs=needs,
        folder=folder,
        seed=stage_seed(recipe, name),
        identity=identity,
        fingerprint=own,
        state=state,
        differences=changed,
        made=made,
        manifest=manifest,
    )
