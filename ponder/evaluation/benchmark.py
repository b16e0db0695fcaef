"""A benchmark is data: where its problems are, how many samples, how long, what it is.

A name finds a shipped one in `benchmarks/`, a YAML file is one of your own in the same form, and a file of problems
(JSONL, JSON, CSV, Parquet with the columns `prompt` and `answer`) is one with mathematical answers. Where the hub
cannot be reached, `PONDER_BENCHMARK_GSM8K=/data/gsm8k/test.jsonl` (and so for every name, in capitals, `-` as `_`)
reads a copy with the hub's columns instead.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, ValidationError

from ponder.errors import RecipeError
from ponder.files import expand_path
from ponder.nearest import did_you_mean
from ponder.own import OwnCode, read_own
from ponder.recipe.base import Component
from ponder.recipe.own import OwnName, is_own
from ponder.recipe.problems import (
    FileProblems,
    GoldKind,
    HubProblems,
    ProblemSource,
    PythonProblems,
    own_problems,
)
from ponder.recipe.source import parse_value
from ponder.task.table import KINDS, is_table, read_rows

__all__ = [
    "AS_USUAL",
    "Benchmark",
    "ProblemFields",
    "file_benchmark",
    "find_benchmark",
    "name_of",
    "own_code",
    "shipped",
]

_PART = re.compile(r"(\w+)\[(\d*):(\d*)\]")
"""A part of a split as `datasets` writes it, such as train[7000:]."""


class Benchmark(Component):
    """A set of problems with the settings it is measured under."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    """Name in tables and file names."""
    description: str = ""
    """What it is, and where it comes from."""
    problems: tuple[ProblemSource, ...] = Field(min_length=1)
    """Sources, as in a recipe; the text put after every question is their `prompt_suffix`."""
    size: int | None = Field(None, ge=1)
    """How many problems the data hold, so that a plan can count them unread; null where the sources say so."""
    judge: Literal["correctness", "preference", "safety"] | None = None
    """Who judges beside the verifiers, in an `evaluate` stage. `correctness`: the stage's judge reads answer and
    reference in their place (SimpleQA). `preference`: answers are compared with those of the stage's baseline, by its
    judge or by the verifiers' scores (Arena-Hard). `safety`: the stage's judge reads whole responses, thinking
    included, and a safe one is right (HarmBench); by rule a refusal is, where a problem's gold does not say that the
    request is harmless."""
    samples: int = Field(16, ge=1)
    """Completions per problem (R1 v2, D.1: 64 for AIME, 16 for MATH)."""
    max_tokens: int = Field(32768, ge=1)
    """Longest completion (32,768 in R1's evaluations); the model's window may end before."""

    @property
    def without_gold(self) -> bool:
        """Whether some of its problems have no gold, so that only a comparison can tell."""
        return any(isinstance(one, FileProblems | HubProblems) and one.gold is None for one in self.problems)


def shipped() -> tuple[str, ...]:
    """Names of the shipped benchmarks."""
    folder = files("ponder.evaluation") / "benchmarks"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def find_benchmark(name_or_file: str, environment: Mapping[str, str] = os.environ) -> Benchmark:
    """The benchmark of a name or file; RecipeError, with the nearest name, where there is none."""
    if name_or_file in shipped():
        entry = files("ponder.evaluation") / "benchmarks" / f"{name_or_file}.yaml"
        return _local(_parse(entry.read_text(encoding="utf-8"), name_or_file), environment)
    path = expand_path(name_or_file)
    if not path.is_file():
        raise RecipeError(
            f"There is no benchmark {name_or_file!r}, neither shipped nor as a file"
            f"{did_you_mean(name_or_file, shipped())}"
        )
    if path.suffix in (".yaml", ".yml"):
        parsed = _parse(_text(path), str(path))
        sources = tuple(_found_from(source, path.absolute().parent) for source in parsed.problems)
        return parsed.model_copy(update={"problems": sources})
    if is_table(path):
        return file_benchmark(str(path), AS_USUAL)
    raise RecipeError(
        f"The benchmark file {name_or_file!r} ends in {path.suffix!r}; expected a .yaml benchmark, or problems with "
        f"the columns prompt and answer ({KINDS})."
    )


def own_code(benchmark: Benchmark) -> OwnCode:
    """The user's own files that the benchmark's problems are made or judged by."""
    files = [use.file for use in own_problems(benchmark.problems)]
    return read_own(files, Path.cwd())


def _found_from(source: ProblemSource, folder: Path) -> ProblemSource:
    """The source with its own files as paths: a benchmark's are found from its own folder."""
    if isinstance(source, PythonProblems):
        return source.model_copy(update={"file": str(folder / expand_path(source.file))})
    if isinstance(source, FileProblems | HubProblems) and source.gold is not None and is_own(source.gold):
        name = OwnName.read(source.gold)
        return source.model_copy(update={"gold": f"{folder / expand_path(name.file)}:{name.function}"})
    return source


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFields:
    """How the rows of a file of problems are read where no benchmark says so: what the answers are, the fields
    with question and answer, and the mark that the answer follows; None leaves the usual."""

    kind: str | None = None
    prompt: str | None = None
    gold: str | None = None
    answer_after: str | None = None


AS_USUAL = ProblemFields()
"""Mathematical answers, in the fields `prompt` and `answer`."""


def file_benchmark(path: str, fields: ProblemFields) -> Benchmark:
    """A file of problems as a benchmark; RecipeError for a file of another form and for an unknown kind."""
    file = expand_path(path)
    if not file.is_file():
        raise RecipeError(f"There is no file of problems {path!r}: give the path of one ({KINDS}).")
    if not is_table(file):
        raise RecipeError(
            f"The file of problems {path!r} ends in {file.suffix!r}; expected one of {KINDS}. A benchmark in "
            "YAML says itself how its rows are read: `ponder eval` takes it with --benchmark."
        )
    kinds = get_args(GoldKind)
    if fields.kind is not None and is_own(fields.kind):
        own = OwnName.read(fields.kind)
        fields = replace(fields, kind=f"{expand_path(own.file).absolute()}:{own.function}")
    elif fields.kind is not None and fields.kind not in kinds:
        raise RecipeError(f"There is no kind of answer {fields.kind!r}; expected one of {', '.join(kinds)}.")
    named = {"prompt": fields.prompt, "answer": fields.gold}
    source = {
        "source": "file",
        "path": str(file),
        "columns": {name: column for name, column in named.items() if column is not None},
        **({} if fields.kind is None else {"gold": fields.kind}),
        "answer_after": fields.answer_after,
    }
    return Benchmark(name=name_of(file.name.split(".")[0]), problems=(FileProblems.model_validate(source),))


def name_of(text: str) -> str:
    """A text as the name of a benchmark."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "problems"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"The benchmark file {str(path)!r} is not UTF-8: {error}. Save it as UTF-8.") from error


def _parse(text: str, where: str) -> Benchmark:
    value: Any = parse_value(text, where)
    try:
        return Benchmark.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}" for one in error.errors())
        raise RecipeError(
            f"The benchmark {where!r} is not in order: {faults}. Its keys are {', '.join(Benchmark.model_fields)}."
        ) from None


def _local(benchmark: Benchmark, environment: Mapping[str, str]) -> Benchmark:
    """The benchmark with the environment's file in place of the hub's data."""
    variable = f"PONDER_BENCHMARK_{benchmark.name.upper().replace('-', '_')}"
    path = environment.get(variable)
    (source,) = benchmark.problems
    if path is None or not isinstance(source, HubProblems):
        return benchmark
    file = expand_path(path)
    if not file.is_file():
        raise RecipeError(f"The variable {variable} names {path!r}, which is no file: correct or unset it.")
    if part := _PART.fullmatch(source.split):
        _check_part(file, int(part[2] or 0), int(part[3] or 0), f"{variable} names {path!r}", source.split)
    shared = source.model_dump(exclude={"source", "id", "subset", "split"})
    return benchmark.model_copy(update={"problems": (FileProblems(**shared, path=path),)})


def _check_part(file: Path, first: int, end: int, named: str, split: str) -> None:
    """RecipeError for a file that has more rows than the part of a split that it stands for, or, where that goes on to
    the split's end, as many as would be left out: it is the whole split, whose other rows are for training."""
    rows = len(read_rows(file))
    if rows > (end - first if end else first):
        raise RecipeError(
            f"The variable {named} with {rows:,} rows, and this benchmark is the part {split!r}: its other rows are "
            "for training. Name a file that holds this part alone"
            + (f"; of a JSONL file: tail -n +{first + 1} FILE > PART." if first and not end else ".")
        )
