"""Sources of preferences in, pairs or labelled responses out, with a list of every row that is not used and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from ponder.errors import DataError
from ponder.files import expand_path
from ponder.recipe.reward_model import (
    FilePreferences,
    HubPreferences,
    MicroPreferences,
    PreferenceSource,
    StagePreferences,
    preference_name,
)
from ponder.records import LabelledResponse, PreferencePair, from_json
from ponder.task.fault import LeftOut, RowFault
from ponder.task.hub import read_hub
from ponder.task.names import distinct_name
from ponder.task.preference_row import check_columns, label_of, pair_of
from ponder.task.table import read_rows

__all__ = ["LoadedPreferences", "load_labels", "load_pairs"]

_SHOWN = 5

Kind = TypeVar("Kind", PreferencePair, LabelledResponse)
Candidate = tuple[int, Kind | str]
"""A row's number with what it holds, or with the reason why it cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPreferences(Generic[Kind]):
    """The rows that can be used, source after source, the others with reasons, and the number used by source."""

    rows: tuple[Kind, ...]
    left_out: tuple[LeftOut, ...]
    sizes: Mapping[str, int]


def load_pairs(sources: Sequence[PreferenceSource], folders: Mapping[str, Path]) -> LoadedPreferences[PreferencePair]:
    """The preference pairs of all sources. `folders` are those of finished stages by name. DataError for a source that
    cannot be read, lacks a column, or has no usable row."""
    return _load(sources, folders, PreferencePair)


def load_labels(
    sources: Sequence[PreferenceSource], folders: Mapping[str, Path]
) -> LoadedPreferences[LabelledResponse]:
    """The labelled responses of all sources, as `load_pairs`."""
    return _load(sources, folders, LabelledResponse)


def _load(
    sources: Sequence[PreferenceSource], folders: Mapping[str, Path], kind: type[Kind]
) -> LoadedPreferences[Kind]:
    rows: list[Kind] = []
    left_out: list[LeftOut] = []
    sizes: dict[str, int] = {}
    for source in sources:
        name = distinct_name(preference_name(source), sizes)
        candidates = list(_candidates(source, name, folders, kind))
        if source.shuffle_seed is not None:
            Random(source.shuffle_seed).shuffle(candidates)
        kept: list[Kind] = []
        dropped: list[LeftOut] = []
        for row, found in candidates:
            if len(kept) == source.limit:
                break
            if isinstance(found, str):
                dropped.append(LeftOut(source=name, row=row, reason=found))
            else:
                kept.append(found)
        if not kept:
            reasons = "; ".join(f"row {one.row}: {one.reason}" for one in dropped[:_SHOWN]) or "it is empty"
            raise DataError(
                f"Source {name!r} has no usable {_what(kind)} ({len(dropped)} rows left out): {reasons}. Check the "
                f"source, its `columns` and `form`, and that the stage's `loss` fits the data."
            )
        rows += kept
        left_out += sorted(dropped, key=lambda one: one.row)
        sizes[name] = len(kept)
    return LoadedPreferences(rows=tuple(rows), left_out=tuple(left_out), sizes=sizes)


def _candidates(
    source: PreferenceSource, name: str, folders: Mapping[str, Path], kind: type[Kind]
) -> Iterator[tuple[int, Kind | str]]:
    match source:
        case StagePreferences():
            yield from _of_stage(source, folders[source.stage], kind)
        case FilePreferences() | HubPreferences():
            rows = read_rows(expand_path(source.path)) if isinstance(source, FilePreferences) else read_hub(source)
            pairs = kind is PreferencePair
            check_columns(rows, source, name, pairs=pairs)
            for row in rows:
                try:
                    if row.values is None:
                        raise RowFault(row.fault)
                    made: Any = (pair_of if pairs else label_of)(row.number, row.values, source, name)
                    yield row.number, made
                except RowFault as fault:
                    yield row.number, str(fault)
        case MicroPreferences():
            yield from enumerate(_micro(source, kind), start=1)


def _of_stage(source: StagePreferences, folder: Path, kind: type[Kind]) -> Iterator[tuple[int, Kind | str]]:
    path = folder / ("pairs.jsonl" if kind is PreferencePair else "labels.jsonl")
    if not path.is_file():
        raise DataError(
            f"Stage {source.stage!r} made no {path.name}, which a reward model of this `loss` learns from. Name a "
            f"`sample` stage whose output is {_what(kind)}s, or change the loss."
        )
    for row in read_rows(path):
        if row.values is None:
            yield row.number, row.fault
            continue
        try:
            yield row.number, from_json(kind, row.values)
        except ValidationError as error:
            first = error.errors()[0]
            yield row.number, f"no {_what(kind)}: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def _micro(source: MicroPreferences, kind: type[Kind]) -> Sequence[Any]:
    from ponder.micro.examples import labelled, pairs

    asked = (source.tasks, source.languages, source.count, source.split, source.seed)
    return tuple(pairs(*asked, source.long_winded) if kind is PreferencePair else labelled(*asked))


def _what(kind: type[Any]) -> str:
    return "preference pair" if kind is PreferencePair else "labelled response"
