"""Settings of `ponder serve`, and the line by which a server says where it is. Quick to load: no torch."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ponder.errors import RecipeError
from ponder.recipe.overrides import apply_overrides
from ponder.recipe.serve import ServeConfig
from ponder.recipe.source import Source, read_source

__all__ = ["IS_AT", "address_in", "read_config"]

IS_AT = " is at "


def address_in(line: str) -> str | None:
    """The address of a server, in the line by which it says that it is there."""
    _, found, rest = line.partition(IS_AT)
    return rest.split(" ")[0] if found and rest.startswith("http://") else None


def read_config(file: Path | None, overrides: Sequence[str]) -> ServeConfig:
    """The configuration of a file and of `key=value`; RecipeError for what it does not know."""
    called = "the settings"
    source = (
        Source(data={}, form=ServeConfig, called=called) if file is None else read_source(file, ServeConfig, called)
    )
    apply_overrides(source, overrides)
    try:
        return ServeConfig.model_validate_json(json.dumps(source.data), strict=True)
    except ValidationError as error:
        from ponder.recipe.explain import explain  # all classes of recipes, which a server does without

        raise RecipeError(explain(error, source)) from None
