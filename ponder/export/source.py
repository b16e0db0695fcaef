"""What is to be exported: a model, or the records of a `sample` stage, whole and as its stage left it."""

from dataclasses import dataclass
from pathlib import Path

from ponder.errors import ModelError, RunFolderError
from ponder.files import EMBEDDED, model_path, sealed
from ponder.hub import parse_hub_id
from ponder.manifest import Manifest, is_done, read_manifest
from ponder.serve.served import find_served, stage_folder

__all__ = ["DataSource", "ModelSource", "find_source"]

_WITHOUT_MODEL = {
    "reward_model": "a reward model gives scores and writes no text, which no other program reads: name what was "
    "trained with it",
    "evaluate": "an `evaluate` stage measures models of other stages: name one of them",
    "report": "a `report` stage writes a page: name a stage that trains or samples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model's folder and the name it goes by. `stage` is the folder of the stage that made it, None for a model of
    its own; `step` the checkpoint's, where the stage is not finished. `reference` is what the user wrote."""

    reference: str
    folder: Path
    name: str
    stage: Path | None = None
    step: int | None = None

    @property
    def hub_id(self) -> str | None:
        """The hub's name of a model of its own, without revision."""
        found = None if self.stage is not None or self.reference in EMBEDDED else parse_hub_id(self.reference)
        return None if found is None else found.repository


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """The file of records that a finished `sample` stage left. `output` is what they are: examples, pairs, labels or
    problems."""

    stage: Path
    name: str
    output: str

    @property
    def file(self) -> Path:
        """Where they stand."""
        return self.stage / f"{self.output}.jsonl"


def find_source(reference: str) -> ModelSource | DataSource:
    """A model folder, hub id or `micro`; or a stage of a run, as its folder or as RUN/STAGE.

    Raises ModelError where there is nothing to export, RunFolderError where it is not as its stage left it.
    """
    stage = stage_folder(model_path(reference))
    if stage is None:
        served = find_served(reference, follow=False)
        return ModelSource(reference=reference, folder=served.folder, name=served.name)
    stage = stage.absolute()
    manifest = read_manifest(stage)
    assert manifest is not None  # or it would be no stage
    if manifest.kind in _WITHOUT_MODEL:
        raise ModelError(f"The stage {str(stage)!r} has no model to export: {_WITHOUT_MODEL[manifest.kind]}.")
    _check_intact(stage, manifest)
    if manifest.kind == "sample":
        return _records(stage, manifest)
    served = find_served(str(stage), follow=False)
    step = None if is_done(stage) else served.version
    return ModelSource(reference=reference, folder=served.folder, name=served.name, stage=stage, step=step)


def _records(stage: Path, manifest: Manifest) -> DataSource:
    name = f"{stage.parent.parent.name}/{stage.name}"
    source = DataSource(stage=stage, name=name, output=str(manifest.config["output"]))
    if not is_done(stage):
        raise ModelError(
            f"The stage {str(stage)!r} is not finished ({manifest.status}), and its records are written at its end: "
            f"run the recipe again, which goes on from where it stopped, and export then."
        )
    if not source.file.is_file():
        raise ModelError(
            f"The stage {str(stage)!r} kept nothing, so there is no {source.file.name} to export; its rejected.jsonl "
            f"says why each response was left out."
        )
    return source


def _check_intact(stage: Path, manifest: Manifest) -> None:
    """RunFolderError where a finished stage's files are others than its manifest says: a card would speak of others."""
    left = manifest.products if is_done(stage) and manifest.products is not None else {}
    there = sealed(stage, left)
    if changed := [name for name, digest in left.items() if there.get(name) != digest]:
        raise RunFolderError(
            f"{str(stage / changed[0])!r} is not what its stage left: expected {left[changed[0]]}, got "
            f"{there.get(changed[0], 'no such file')}. A card would describe another model or data set. Restore the "
            f"file, run the stage anew with --redo {stage.name}, or export the folder by its own path, "
            f"such as {str(stage / 'model')!r}, with nothing said of its run."
        )
