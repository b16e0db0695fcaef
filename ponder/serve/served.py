"""What `ponder serve` was asked to serve: a model, or a stage of a run, with what its folder says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.errors import ModelError
from ponder.files import EMBEDDED, model_path, read_json
from ponder.hub import parse_hub_id
from ponder.manifest import MANIFEST, is_done, step_folders
from ponder.policy.resolve import resolve_model

__all__ = ["Served", "find_served", "stage_folder"]

_LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model's folder, the name it goes by (of the hub's the repository's), and its details for /v1/models. `stage` is
    the folder of the stage that makes it, None for a model of its own."""

    folder: Path
    name: str
    stage: Path | None = None
    version: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    def newest(self) -> tuple[int, Path] | None:
        """The step and the model's folder of the stage's newest checkpoint."""
        return None if self.stage is None else _newest(self.stage)


def find_served(reference: str, *, follow: bool) -> Served:
    """A model folder, hub id or `micro`; or a stage of a run, as its folder or as RUN/STAGE: its finished model, else
    its newest checkpoint. A run alone will do where one of its stages alone has a model that writes.

    Raises ModelError where there is nothing to serve.
    """
    folder = model_path(reference)
    stage = stage_folder(folder)
    if stage is None:
        if "=" in reference and not folder.exists():
            raise ModelError(
                f"There is no model {reference!r}. Settings stand behind the model, which is the first word, such as "
                f"micro {reference}."
            )
        if follow:
            raise ModelError(
                f"{reference!r} is no stage of a run, so there is no training to follow: name a stage, such as "
                f"runs/zero-micro/zero, or leave --follow out."
            )
        found = resolve_model(reference)
        here = folder.exists() and reference not in EMBEDDED
        return Served(folder=found, name=found.name if here else _name_of(reference))
    newest = _newest(stage)
    if is_done(stage) and (stage / "model" / "config.json").is_file():
        version, model = (newest[0] if newest else 0), stage / "model"
    elif newest is not None:
        version, model = newest
    else:
        raise ModelError(
            f"The stage {str(stage)!r} has neither a finished model nor a checkpoint yet: wait for its first one "
            f"(`checkpoint_every` in the recipe), or name another stage."
        )
    details = {"stage": stage.name, "run": stage.parent.parent.name, "scores": _scores(stage)}
    name = f"{stage.parent.parent.name}/{stage.name}"
    return Served(folder=resolve_model(model), name=name, stage=stage, version=version, details=details)


def _name_of(reference: str) -> str:
    """The name of an embedded model, or of a repository of the hub: its folder here is called by a commit."""
    hub_id = parse_hub_id(reference)
    return reference if hub_id is None else hub_id.repository


def stage_folder(folder: Path) -> Path | None:
    """The folder of the stage that a path names, as its own or as RUN/STAGE; of a run alone its one stage with a model
    that writes, ModelError where there is none or a choice. None for a folder that is neither."""
    if (folder / MANIFEST).is_file() and folder.parent.name == "stages":
        return folder
    if (folder.parent / "stages" / folder.name / MANIFEST).is_file():
        return folder.parent / "stages" / folder.name
    if not (folder / "stages").is_dir():
        return None
    made = sorted(one for one in (folder / "stages").iterdir() if _writes(one))
    if len(made) == 1:
        return made[0]
    if made:
        names = ", ".join(str(folder / one.name) for one in made)
        raise ModelError(f"The run {str(folder)!r} has several models: name one of {names}.")
    raise ModelError(f"The run {str(folder)!r} has no model and no checkpoint yet: wait for the first.")


def _writes(stage: Path) -> bool:
    """Whether a stage has made a model that writes, which a reward model does not."""
    if not (stage / MANIFEST).is_file() or read_json(stage / MANIFEST).get("kind") == "reward_model":
        return False
    return (stage / "model" / "config.json").is_file() or _newest(stage) is not None


def _newest(stage: Path) -> tuple[int, Path] | None:
    """Step and model's folder of the checkpoint that the pointer names; None where there is none, or it is gone."""
    pointer = stage / "checkpoints" / _LATEST
    if not pointer.is_file():
        return None
    named = pointer.parent / pointer.read_text(encoding="utf-8").strip()
    model = named / "model"
    if named not in step_folders(pointer.parent) or not (model / "config.json").is_file():
        return None
    return int(named.name.rpartition("-")[2]), model


def _scores(stage: Path) -> dict[str, Any]:
    """pass@1 with its interval of the stage's own evaluations, by the file's name."""
    found = {}
    for file in sorted((stage / "evaluation").glob("*.json")):
        scores = read_json(file).get("scores", {})
        if "pass@1" in scores:
            found[file.stem] = {"pass@1": scores["pass@1"], "interval": scores.get("pass@1_interval")}
    return found
