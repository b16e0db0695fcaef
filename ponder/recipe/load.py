"""A recipe file and overrides in, a checked Recipe out. Every mistake is a RecipeError with file and line."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import ponder
from ponder.errors import RecipeError
from ponder.recipe.explain import explain
from ponder.recipe.graph import check_references
from ponder.recipe.overrides import apply_overrides
from ponder.recipe.own import is_own
from ponder.recipe.recipe import SCHEMA_VERSION, Recipe
from ponder.recipe.shipped import is_shipped
from ponder.recipe.source import Source, Where, read_source

__all__ = ["load_recipe"]


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe.

    `overrides` are `dotted.key=value`, the values in YAML. Raises RecipeError naming the place (file:line or the
    override), what stands there and what was expected. Touches no network and loads no torch.
    """
    source = read_source(Path(path))
    apply_overrides(source, overrides)
    _check_version(source)
    try:
        # Through JSON, where strictness still takes a list for a tuple, but neither "5" nor `yes` for a number or bool.
        recipe = Recipe.model_validate_json(json.dumps(source.data), strict=True)
    except ValidationError as error:
        raise RecipeError(explain(error, source)) from None
    check_references(recipe, source)
    recipe = recipe.placed(dict(_own_names(source.data, (), source)))
    return recipe if is_shipped(Path(path)) else recipe.at(Path(path).absolute().parent)


def _own_names(value: Any, where: Where, source: Source) -> Iterator[tuple[str, str]]:
    """Names of own files and functions in a recipe, as keys or values, and where they stand, the first place last."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in reversed([*inner]):
        yield from _own_names(one, (*where, key), source)
        for text in (key, one):
            # Addresses and parts of a split, such as `train[:7000]`, have a colon, too.
            if isinstance(text, str) and is_own(text) and "://" not in text and "[" not in text:
                place = source.origin((*where, key))
                yield from ((name, place) for name in (text, text.rpartition(":")[0]))


def _check_version(source: Source) -> None:
    version = source.data.get("version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecipeError(
            f"{source.origin(('version',))}: the recipe is written for schema version {version}, and ponder "
            f"{ponder.__version__} reads up to version {SCHEMA_VERSION}; upgrade ponder, or remove what is new in the "
            f"recipe and set `version: {SCHEMA_VERSION}`"
        )
