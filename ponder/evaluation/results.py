"""The completions of an evaluation with their verdicts, and the file that holds them all.

The file is JSON lines: first the provenance (what was sampled, from what, how), then one line per problem with the
whole problem and its samples. It is enough to score again without a model: `ponder eval --replay FILE`.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedWriter
from itertools import chain, count, islice
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import TypeAdapter, ValidationError

from ponder.errors import DataError
from ponder.records import FinishReason, Problem, Talk, Unwritten, Verdict

__all__ = [
    "JudgedCompletion",
    "ProblemResult",
    "ResultsWriter",
    "completions_path",
    "kept_results",
    "put_aside",
    "read_results",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedCompletion:
    """One completion and its verdict. `tokens` counts the stop token; `measures` are what functions of the user's own
    say of it, by name; `talk` is the conversation that the text ends, where there was one."""

    text: str
    tokens: int
    finish_reason: FinishReason
    seed: int
    verdict: Verdict
    measures: Mapping[str, float | None] = field(default_factory=dict)
    talk: Annotated[Talk | None, Unwritten] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemResult:
    """All samples of one problem, in the order of their seeds."""

    problem: Problem
    samples: tuple[JudgedCompletion, ...]

    @property
    def accuracy(self) -> float:
        """Share of the samples judged right."""
        return sum(sample.verdict.outcome == "right" for sample in self.samples) / len(self.samples)


_RESULT = TypeAdapter(ProblemResult)
_PROVENANCE = "provenance"


def completions_path(folder: Path, step: int) -> Path:
    """Where a stage keeps the completions of the evaluation at `step`."""
    return folder / "evaluation" / f"step-{step:06d}.jsonl"


class ResultsWriter:
    """Writes the file line by line; what an interrupted evaluation had finished can be read. It begins anew, or goes on
    after the first `keep` problems of the file that is there."""

    def __init__(self, path: Path, provenance: Mapping[str, Any], keep: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if keep:
            _cut(path, lines=1 + keep)
        self._file: BufferedWriter = path.open("ab" if keep else "wb")
        if not keep:
            self._write({_PROVENANCE: provenance})

    def write(self, result: ProblemResult) -> None:
        """Append one problem with its samples."""
        line = _RESULT.dump_python(result, mode="json")
        for sample in line["samples"]:
            if not sample["measures"]:
                del sample["measures"]
        self._write(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _write(self, value: object) -> None:
        line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        self._file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        self._file.flush()


def kept_results(path: Path, provenance: Mapping[str, Any], size: int) -> list[ProblemResult]:
    """The results of the whole calls, of `size` problems each, that an interrupted evaluation left in a file; none
    where the file is not there, or its provenance is another."""
    if not path.exists() or path.stat().st_size == 0:
        return []
    first = next(_lines(path), None)
    if first != _first(provenance):
        return []
    results = list(read_results(path)[1])
    return results if len(results) == provenance["problems"] else results[: len(results) // size * size]


def _first(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The first line of a file, as it is read back."""
    return {_PROVENANCE: json.loads(json.dumps(provenance))}


def put_aside(path: Path, provenance: Mapping[str, Any]) -> None:
    """Rename a file with completions of another evaluation than that of `provenance`: they are never overwritten."""
    if not path.exists():
        return
    with path.open("rb") as file:
        lines = list(islice(file, 2))
    if len(lines) > 1 and next(_lines(path), None) != _first(provenance):
        names = (path.with_name(f"{path.name}.earlier{number}") for number in chain([""], map("-{}".format, count(2))))
        aside = next(name for name in names if not name.exists())
        path.rename(aside)
        warnings.warn(
            f"{str(path)!r} held an evaluation of another model, seed, limit or setting that was not finished: it is "
            f"kept as {str(aside)!r}, and this one begins anew.",
            stacklevel=2,
        )


def _cut(path: Path, lines: int) -> None:
    """Drop everything after so many lines."""
    with path.open("rb+") as file:
        for _ in range(lines):
            file.readline()
        file.truncate(file.tell())


def read_results(path: Path) -> tuple[dict[str, Any], Sequence[ProblemResult]]:
    """Provenance and results of a file; an unfinished last line is left out. DataError for anything else."""
    lines = _lines(path)
    first = next(lines, None)
    if not isinstance(first, dict) or not isinstance(first.get(_PROVENANCE), dict):
        raise DataError(
            f"{str(path)!r} holds no stored completions: its first line should be an object with the key "
            f"{_PROVENANCE!r}. Give a .jsonl file that `ponder eval` or a stage's evaluation/ folder has written."
        )
    try:
        return first[_PROVENANCE], [_RESULT.validate_python(line) for line in lines]
    except ValidationError as error:
        raise DataError(
            f"{str(path)!r} holds a line that is no problem with samples: {' '.join(str(error).split())[:200]}. It may "
            "come from another version of ponder; evaluate again without --replay."
        ) from None


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise DataError(
                        f"{str(path)!r}, line {number}: expected JSON, got {line[:40]!r} ({error})"
                    ) from None
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}. Give a file of stored completions.") from None
