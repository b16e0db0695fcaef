"""A model's name becomes a local folder: `micro`, a path, or a Hugging Face hub id (downloaded once, then cached).

No torch here, so that plans and fingerprints can name models cheaply.
"""

import difflib
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ponder.errors import ModelError
from ponder.files import EMBEDDED, model_path

__all__ = ["resolve_model"]

_MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def resolve_model(name: str | Path) -> Path:
    """The folder that holds the model. Raises ModelError, naming the nearest folder, when there is none."""
    folder = model_path(str(name))
    if (folder / "config.json").is_file():
        return folder
    if folder.is_dir():
        raise ModelError(
            f"{str(folder)!r} is a folder without config.json, so it holds no model. Name a folder in the Hugging Face "
            f"format{_inside(folder) or _nearest(folder)}."
        )
    if str(name) in EMBEDDED or folder.is_absolute() or str(name).startswith("."):
        raise ModelError(f"There is no model folder {str(folder)!r}{_nearest(folder)}.")
    try:
        return Path(snapshot_download(str(name), allow_patterns=_MODEL_FILES))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"There is no model {str(name)!r}: it is no folder here, and the Hugging Face hub does not give it "
            f"({reason}). Give a stage of the recipe, a folder, a hub id (which needs a network or the hub's cache), "
            f"or {' or '.join(map(repr, EMBEDDED))}{_nearest(folder)}."
        ) from error


def _inside(folder: Path) -> str:
    """The models in a run's or a stage's folder."""
    found = [folder / "model", *sorted(folder.glob("stages/*/model"))]
    names = [repr(str(model)) for model in found if (model / "config.json").is_file()]
    return f"; in it there is {', '.join(names)}" if names else ""


def _nearest(folder: Path) -> str:
    """What the user may have meant, among the embedded model and the folders beside the missing one."""
    parent = folder.parent
    beside = [str(parent / child.name) for child in parent.iterdir() if child.is_dir()] if parent.is_dir() else []
    near = difflib.get_close_matches(str(folder), [*EMBEDDED, *sorted(beside)], n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near and near[0] != str(folder) else ""
