"""Inputs from outside that are missing, found before the first stage runs instead of hours later."""

from ponder.errors import DataError, ModelError
from ponder.files import expand_path
from ponder.pipeline.fingerprint import data_files, input_path
from ponder.recipe.graph import MICRO, model_references
from ponder.recipe.recipe import Recipe

__all__ = ["check_inputs"]


def check_inputs(recipe: Recipe) -> None:
    """Raise ModelError or DataError for the first model folder or data file that is not there."""
    for name, stage in recipe.stages.items():
        for reference in model_references(stage):
            path = None if reference in recipe.stages else input_path(reference)
            if path is None or (path / "config.json").is_file():
                continue
            if reference == MICRO:
                raise ModelError(
                    f"stage {name!r} starts from the embedded base, which is not in this installation: {str(path)!r} "
                    "holds no config.json; make it with `ponder run recipes/base-micro.yaml` or reinstall ponder"
                )
            got = "holds no config.json" if path.is_dir() else "does not exist"
            raise ModelError(
                f"stage {name!r}: the model folder {reference!r} {got}: give a Hugging Face model folder, a hub id "
                "(organisation/name), `micro`, or the name of a stage"
            )
        for text in data_files(stage):
            if not expand_path(text).is_file():
                raise DataError(
                    f"stage {name!r}: the data file {text!r} does not exist (looked at "
                    f"{str(expand_path(text).absolute())!r}): check the path; it is relative to the folder in which "
                    "ponder is started"
                )
