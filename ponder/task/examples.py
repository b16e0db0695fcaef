"""Sources of examples in, examples out, with a list of every row that is not used and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydantic import ValidationError

from ponder.errors import DataError
from ponder.files import expand_path
from ponder.recipe.examples import ExampleSource, FileExamples, HubExamples, MicroExamples, StageExamples, source_name
from ponder.records import Example, from_json
from ponder.task.example_row import check_example_columns, examples_of
from ponder.task.fault import LeftOut, RowFault
from ponder.task.hub import read_hub
from ponder.task.names import distinct_name
from ponder.task.table import Row, read_rows

__all__ = ["EXAMPLES_FILE", "LoadedExamples", "SourcedExample", "load_examples"]

EXAMPLES_FILE = "examples.jsonl"
"""What a `sample` stage leaves in its folder: one `records.Example` as JSON per line."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcedExample:
    """An example and the row of the source it was read from, counted from 1."""

    source: str
    row: int
    example: Example


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedExamples:
    """Examples, source after source. `weights` are the recipe's, by the source's name."""

    examples: tuple[SourcedExample, ...]
    left_out: tuple[LeftOut, ...]
    weights: Mapping[str, float]


def load_examples(sources: Sequence[ExampleSource], stages: Mapping[str, Path]) -> LoadedExamples:
    """Read every source, shuffle and limit it. `stages` maps the names of finished stages to their folders.

    DataError for a source that cannot be read, lacks a column, or has no usable example.
    """
    if not sources:
        raise DataError("There are no sources of examples. Name at least one.")
    examples: list[SourcedExample] = []
    left_out: list[LeftOut] = []
    weights: dict[str, float] = {}
    for source in sources:
        name = distinct_name(source_name(source), weights)
        kept: list[SourcedExample] = []
        dropped: list[LeftOut] = []
        for number, found in _candidates(source, name, stages):
            if len(kept) == source.limit:
                break
            if isinstance(found, str):
                dropped.append(LeftOut(source=name, row=number, reason=found))
            else:
                kept.append(SourcedExample(source=name, row=number, example=found))
        if not kept:
            raise DataError(f"Source {name!r} has no usable example: {_why(source, dropped)}")
        examples += kept
        left_out += sorted(dropped, key=lambda entry: entry.row)
        weights[name] = source.weight
    return LoadedExamples(examples=tuple(examples), left_out=tuple(left_out), weights=weights)


Candidate = tuple[int, Example | str]
"""A row's number with its example, or with the reason why it is none."""


def _candidates(source: ExampleSource, name: str, stages: Mapping[str, Path]) -> Iterator[Candidate]:
    """The rows of a source in the order in which they are taken."""
    match source:
        case StageExamples():
            return _whole(_shuffled(_stage_rows(source, stages), source))
        case FileExamples(form="examples"):
            return _whole(_shuffled(read_rows(expand_path(source.path)), source))
        case FileExamples() | HubExamples():
            rows = read_rows(expand_path(source.path)) if isinstance(source, FileExamples) else read_hub(source)
            check_example_columns(rows, source, name)
            return _table(_shuffled(rows, source), source, name)
        case MicroExamples():
            found: list[Candidate] = list(enumerate(_micro(source), start=1))
            if source.shuffle_seed is not None:
                Random(source.shuffle_seed).shuffle(found)
            return iter(found)


def _stage_rows(source: StageExamples, stages: Mapping[str, Path]) -> list[Row]:
    path = stages[source.stage] / EXAMPLES_FILE
    if not path.is_file():
        raise DataError(
            f"Stage {source.stage!r} left no {EXAMPLES_FILE} in {str(path.parent)!r}. Name a stage of the kind "
            f"`sample` whose output is examples."
        )
    return read_rows(path)


def _whole(rows: Sequence[Row]) -> Iterator[Candidate]:
    for row in rows:
        try:
            yield row.number, row.fault if row.values is None else from_json(Example, row.values)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:_SHOWN])
            yield row.number, f"no example as `sample` stages write it: {faults}"


def _table(rows: Sequence[Row], source: FileExamples | HubExamples, name: str) -> Iterator[Candidate]:
    for row in rows:
        try:
            for example in examples_of(row, source, name):
                yield row.number, example
        except RowFault as fault:
            yield row.number, str(fault)


def _micro(source: MicroExamples) -> Iterator[Example]:
    from ponder.micro.examples import examples

    return examples(
        source.tasks,
        source.languages,
        source.count,
        source.split,
        source.seed,
        source.clean,
        source.careful,
        source.rambling,
    )


def _shuffled(rows: list[Row], source: ExampleSource) -> list[Row]:
    if source.shuffle_seed is not None:
        Random(source.shuffle_seed).shuffle(rows)
    return rows


def _why(source: ExampleSource, dropped: Sequence[LeftOut]) -> str:
    advice = {
        "stage": f"Relax the keep rules of stage {source.stage!r}, or give it more prompts or samples."
        if isinstance(source, StageExamples)
        else "",
        "file": "Check `columns` and `form` of the source.",
        "hub": "Check `columns` of the source.",
        "micro": "Raise `count`.",
    }
    shown = "; ".join(f"row {entry.row}: {entry.reason}" for entry in dropped[:_SHOWN])
    more = f"; and {len(dropped) - _SHOWN} more" if len(dropped) > _SHOWN else ""
    return f"{shown + more or 'it is empty'}. {advice[source.source]}"
