"""Columns of a `repository` problem become its gold, and what its question shows of the files."""

import json
from collections.abc import Mapping
from typing import Any

from ponder.recipe.problems import FileProblems, HubProblems
from ponder.records import Language, RepositoryGold
from ponder.task.fault import RowFault
from ponder.task.program import tests_columns

__all__ = ["repository_gold", "shown_files"]

_USUAL_SECONDS = 60.0
_ASKED: Mapping[Language, str] = {
    "en": "Answer with the lines that change, and nothing else of the files: for each place the file's path, then\n"
    "<<<<<<< SEARCH\nthe lines as they are\n=======\nthe lines as they should be\n>>>>>>> REPLACE",
    "zh": "只写出要改动的行。每处先写文件路径，然后\n<<<<<<< SEARCH\n现在的行\n=======\n应有的行\n>>>>>>> REPLACE",
}


def repository_gold(cells: Any, table: FileProblems | HubProblems) -> RepositoryGold:
    """`cells` gives the value in a column. RowFault says what is wrong with the row."""
    columns = table.columns
    name = tests_columns(columns)[0]
    limit = table.time_limit if columns.time_limit is None else cells(columns.time_limit)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
        raise RowFault(f"column {columns.time_limit!r} holds {limit!r:.80}; expected a number of seconds")
    return RepositoryGold(
        files=_texts_by_path(cells(columns.files), columns.files),
        tests=_texts_by_path(cells(name), name),
        must_pass=() if columns.must_pass is None else _names(cells(columns.must_pass), columns.must_pass),
        answer=_known(cells, columns.answer),
        seconds=_USUAL_SECONDS if limit is None else float(limit),
    )


def shown_files(gold: RepositoryGold, language: Language) -> str:
    """What stands after the question: every file, without the tests, and how to answer."""
    files = "".join(f"\n\n{path}\n```python\n{text.rstrip()}\n```" for path, text in gold.files.items())
    return f"{files}\n\n{_ASKED[language]}"


def _texts_by_path(value: Any, name: str) -> dict[str, str]:
    """An object with texts, or its JSON; tables with fixed columns have null for files that are not in a row."""
    value = _read(value)
    if not isinstance(value, Mapping) or not all(isinstance(text, str | None) for text in value.values()):
        raise RowFault(
            f"column {name!r} holds {value!r:.80}; expected an object with the text of each file by its path"
        )
    return {str(path): text.replace("\r\n", "\n") for path, text in value.items() if text is not None}


def _names(value: Any, name: str) -> tuple[str, ...]:
    value = _read(value)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise RowFault(f"column {name!r} holds {value!r:.80}; expected a list of names of tests")
    return tuple(value)


def _known(cells: Any, name: str) -> str | None:
    """A patch that passes, if the row has one."""
    try:
        value = cells(name)
    except RowFault:
        return None
    return value if isinstance(value, str) and value.strip() else None


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
