"""Data sets of the Hugging Face hub as rows. Whoever owns one may change it between two sessions of a run, so a stage
notes what it read."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ponder.errors import DataError, RunFolderError
from ponder.files import read_json, write_json
from ponder.hub import HubId, parse_hub_id
from ponder.recipe.examples import HubExamples
from ponder.recipe.problems import HubProblems
from ponder.recipe.reward_model import HubPreferences
from ponder.task.table import Row

__all__ = ["read_hub", "same_rows"]

_notes: list[Path] = []


@contextmanager
def same_rows(notes: Path) -> Iterator[None]:
    """Within it, what the hub gives must be what it gave before, as the file `notes` says; what it gives for the first
    time is noted there."""
    _notes.append(notes)
    try:
        yield
    finally:
        _notes.pop()


def read_hub(source: HubProblems | HubExamples | HubPreferences) -> list[Row]:
    """The rows of one split. DataError if the hub cannot be reached and nothing is cached, or if there is no such
    data set, subset or split."""
    if source.subset is None or isinstance(source.subset, str):
        return [Row(number=i, values=values) for i, values in enumerate(_read(source, source.subset), start=1)]
    found = [values | {"subset": subset} for subset in source.subset for values in _read(source, subset)]
    return [Row(number=number, values=values) for number, values in enumerate(found, start=1)]


def _read(source: HubProblems | HubExamples | HubPreferences, subset: str | None) -> list[dict[str, Any]]:
    import datasets

    what = source.id + (f", subset {subset!r}" if subset else "") + f", split {source.split!r}"
    hub_id = parse_hub_id(source.id) or HubId(repository=source.id, revision=None)  # some have no organisation
    try:
        table = datasets.load_dataset(hub_id.repository, subset, split=source.split, revision=hub_id.revision)
    except Exception as error:  # a remote service: anything may come back, and all of it is reported
        reason = " ".join(str(error).split()) or "no reason given"
        raise DataError(
            f"The data set {what} cannot be loaded from the hub: {type(error).__name__}: {reason}. Check the names and "
            f"the connection, or download it and use `source: file` with its path."
        ) from error
    rows = [dict(values) for values in table]
    if _notes:
        _check_same(what, hub_id, rows, _notes[-1])
    return rows


def _check_same(what: str, hub_id: HubId, rows: Sequence[dict[str, Any]], notes: Path) -> None:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    found = [len(rows), digest.hexdigest()]
    known: dict[str, list[Any]] = read_json(notes) if notes.is_file() else {}
    count, before = known.setdefault(what, found)
    if [count, before] != found:
        raise RunFolderError(
            f"The data set {what} has changed on the hub since this stage began: it had {count:,} rows (sha256 "
            f"{before[:12]}), and has {len(rows):,} ({digest.hexdigest()[:12]}). Name the revision that it began with "
            f"as `id: {hub_id.repository}@COMMIT`, or run the stage anew with --redo."
        )
    write_json(notes, known)
