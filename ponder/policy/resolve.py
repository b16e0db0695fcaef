"""A model's name becomes a local folder: `micro`, a path, or a Hugging Face hub id (downloaded once, then cached).

The folder is one that can be loaded: without an adapter, quantised weights or code of its own. For a GGUF file, and for
weights in fp8, it is that of `unpack.py`.

No torch here, so that plans and fingerprints can name models cheaply.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ponder.errors import ModelError
from ponder.files import EMBEDDED, is_gguf, model_path, read_json
from ponder.hub import HubId, fetch, parse_hub_id
from ponder.policy.folder import ADAPTER, check_folder, fp8_scales
from ponder.policy.unpack import unpacked_fp8, unpacked_gguf

__all__ = ["resolve_model"]

_BESIDE = ("*.json", "*.txt", "*.model", "chat_template.jinja", "additional_chat_templates/*.jinja")
"""What a repository holds beside its weights, which says whether they are worth fetching."""
_WEIGHTS = ("model*.safetensors", "*.safetensors", "pytorch_model*.bin")
"""The first of these forms that it has, where it has no index: some hold the same weights twice."""
_INDEX = "model.safetensors.index.json"


def resolve_model(name: str | Path) -> Path:
    """The folder that holds the model. Raises ModelError, naming the nearest folder, when there is none, or when what
    it holds cannot be trained or measured."""
    folder = _folder(name)
    check_folder(folder)
    return unpacked_fp8(folder) if fp8_scales(folder) else folder


def _folder(name: str | Path) -> Path:
    folder = model_path(str(name))
    if is_gguf(folder):
        return unpacked_gguf(folder)
    if (folder / "config.json").is_file():
        return folder
    if (folder / ADAPTER).is_file():
        raise _adapter_alone(str(folder))
    if folder.is_dir():
        raise ModelError(
            f"{str(folder)!r} is a folder without config.json, so it holds no model. Name a folder in the Hugging Face "
            f"format{_inside(folder) or _nearest(folder)}."
        )
    if str(name) in EMBEDDED or folder.is_absolute() or str(name).startswith("."):
        raise ModelError(f"There is no model folder {str(folder)!r}{_nearest(folder)}.")
    return _fetched(str(name), folder)


def _fetched(name: str, folder: Path) -> Path:
    """The folder of a model of the hub; `folder` is what the name would be here. Weights are fetched only of what can
    be loaded."""
    # The hub knows a few models without an organisation, such as gpt2.
    hub_id = parse_hub_id(name) or HubId(repository=name, revision=None)
    found = _fetch(hub_id, _BESIDE, name, folder)
    if (found / "config.json").is_file():
        check_folder(found, weights=False)
        whole = HubId(repository=hub_id.repository, revision=found.name)
        for files in _weights(found / _INDEX):
            there = _fetch(whole, files, name, folder)
            if any(path for file in files for path in there.glob(file)):
                break
        return found
    if (found / ADAPTER).is_file():
        raise _adapter_alone(name)
    raise ModelError(
        f"{name!r} on the Hugging Face hub has no config.json, so it holds no model in the Hugging Face format. Name "
        f"the repository that it was made from; a GGUF file of it can be downloaded and named by its path."
    )


def _weights(index: Path) -> Iterator[Sequence[str]]:
    """Patterns of files of weights, one of which is enough: those that an index names first."""
    if index.is_file():
        yield sorted(set(read_json(index).get("weight_map", {}).values()))
    yield from ((form,) for form in _WEIGHTS)


def _fetch(hub_id: HubId, patterns: Sequence[str], name: str, folder: Path) -> Path:
    try:
        return fetch(hub_id, patterns)
    except ModelError as error:
        raise ModelError(
            f"There is no model {name!r}: it is no folder here, and {error}. Give a stage of the recipe, a folder, a "
            f"hub id (which needs a network or the hub's cache), or {' or '.join(map(repr, EMBEDDED))}"
            f"{_nearest(folder)}."
        ) from error


def _adapter_alone(where: str) -> ModelError:
    return ModelError(
        f"{where!r} holds an adapter ({ADAPTER!r}) and no model. Merge it into the model that it was trained on, save "
        f"that, and name its folder."
    )


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
