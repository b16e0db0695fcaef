"""Whether the files that stages learn from have the columns that the recipe names, looked at before the first stage."""

from pathlib import Path

from ponder.errors import DataError
from ponder.files import expand_path
from ponder.recipe.examples import FileExamples, source_name
from ponder.recipe.problems import FileProblems
from ponder.recipe.reward_model import FilePreferences, preference_name
from ponder.recipe.stages import RewardModelStage, SftStage, Stage
from ponder.task import preference_row, row
from ponder.task.example_row import check_example_columns
from ponder.task.load import problems_name
from ponder.task.table import Row, read_rows

__all__ = ["check_columns"]

_LARGEST = 256 * 2**20
"""Bytes of a file that is read twice for this; of a larger one it is told when its stage begins."""


def check_columns(name: str, stage: Stage) -> None:
    """DataError, naming the stage, for a local file that cannot be read or of which no row has a column that its source
    names or needs."""
    try:
        _check(stage)
    except DataError as error:
        raise DataError(f"stage {name!r}: {error}") from None


def _check(stage: Stage) -> None:
    for problems in stage.problem_sources():
        if isinstance(problems, FileProblems):
            row.check_columns(_rows(problems.path), problems, problems_name(problems))
    if isinstance(stage, SftStage):
        for examples in stage.examples:
            if isinstance(examples, FileExamples) and examples.form == "columns":
                check_example_columns(_rows(examples.path), examples, source_name(examples))
    if isinstance(stage, RewardModelStage):
        for preferences in (*stage.data, *stage.held_out):
            if isinstance(preferences, FilePreferences):
                name, pairs = preference_name(preferences), stage.loss == "pairwise"
                preference_row.check_columns(_rows(preferences.path), preferences, name, pairs=pairs)


def _rows(text: str) -> list[Row]:
    path: Path = expand_path(text)
    return read_rows(path) if path.stat().st_size <= _LARGEST else []
