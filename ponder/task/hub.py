"""Data sets of the Hugging Face hub as rows."""

from typing import Any

from ponder.errors import DataError
from ponder.hub import HubId, parse_hub_id
from ponder.recipe.examples import HubExamples
from ponder.recipe.problems import HubProblems
from ponder.recipe.reward_model import HubPreferences
from ponder.task.table import Row

__all__ = ["read_hub"]


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
    return [dict(values) for values in table]
