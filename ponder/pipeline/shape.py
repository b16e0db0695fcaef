"""The shape of the model behind a reference of a recipe, without torch or weights."""

from pathlib import Path

from ponder.files import is_gguf, model_path, read_json
from ponder.hub import HubId, parse_hub_id
from ponder.recipe.architectures import known_architecture
from ponder.recipe.recipe import Recipe
from ponder.recipe.shape import Shape, shape_of
from ponder.recipe.stages import PretrainStage, RewardModelStage, RlStage, SftStage

__all__ = ["Shape", "find_shape", "model_shape", "shape_of"]


def find_shape(recipe: Recipe, reference: str) -> Shape | str:
    """The shape behind a model reference of a recipe, or why it is not known."""
    if reference in recipe.stages:
        stage = recipe.stages[reference]
        if isinstance(stage, PretrainStage):
            return shape_of({"vocab_size": stage.vocabulary} | stage.architecture, f"stage {reference}")
        if isinstance(stage, RlStage | SftStage | RewardModelStage):
            return find_shape(recipe, stage.model)
        return f"{reference!r} makes no model"
    return model_shape(reference)


def model_shape(reference: str) -> Shape | str:
    """The shape of a model folder, a GGUF file or a hub id, or why it is not known."""
    path = model_path(reference)
    hub_id = parse_hub_id(reference)
    if hub_id is None:
        if is_gguf(path):
            from ponder.policy.unpack import gguf_config

            return shape_of(gguf_config(path), str(path))
        file = path / "config.json"
        return shape_of(read_json(file), str(file)) if file.is_file() else f"there is no {str(file)!r}"
    cached = _hub_config(hub_id)
    if cached is not None:
        return shape_of(read_json(cached), "the hub's cache")
    known = known_architecture(reference)
    return shape_of(known, "ponder's table of known models") if known else "not downloaded yet, and not known by name"


def _hub_config(hub_id: HubId) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_id.repository, "config.json", revision=hub_id.revision)
    return Path(found) if isinstance(found, str) else None
