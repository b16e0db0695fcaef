"""The files of a `sample` stage: what is kept, what is not and why, and the paper's table of the data.

All of them are written anew whenever the stage runs, from the log of requests, and are whole or not there.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ponder.curate.candidate import Rejected
from ponder.files import replacing, write_json
from ponder.records import Example, LabelledResponse, MeasuredProblem, PreferencePair, to_json
from ponder.watch.lines import dump_line

__all__ = ["COMPOSITION", "REJECTED", "Output"]

REJECTED = "rejected.jsonl"
COMPOSITION = "composition.json"


@dataclass(slots=True)
class _Part:
    count: int = 0
    tokens: int = 0
    counted: int = 0


@dataclass(slots=True)
class Output:
    """A context manager: `examples.jsonl` (or pairs, labels, problems) and `rejected.jsonl` in `folder` appear when it
    ends well and something was kept; `composition.json` comes with them."""

    folder: Path
    name: str
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _parts: dict[tuple[str, str], _Part] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _files: tuple[BinaryIO, ...] = ()

    def __enter__(self) -> Self:
        self._files = tuple(
            self._stack.enter_context(replacing(self.folder / name)) for name in (f"{self.name}.jsonl", REJECTED)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
        if error is None:
            write_json(self.folder / COMPOSITION, self.composition())

    def keep(self, record: Example | PreferencePair | LabelledResponse | MeasuredProblem, tokens: int | None) -> None:
        """Write a record; `tokens` are those of its completion as sampled, where they are known."""
        self.kept += 1
        part = self._parts.setdefault((record.domain, record.language), _Part())
        part.count += 1
        if tokens is not None:
            part.tokens += tokens
            part.counted += 1
        self._files[0].write(dump_line(to_json(record)))

    def reject(self, rejected: Sequence[Rejected]) -> None:
        """Write what is not kept."""
        for one in rejected:
            self.reasons[one.reason] += 1
            self._files[1].write(dump_line(asdict(one)))

    def composition(self) -> list[Mapping[str, Any]]:
        """Per domain and language: count and average tokens (R1 v2, table 5), the average null where none are known."""
        return [
            {
                "domain": domain,
                "language": language,
                "count": part.count,
                "average_tokens": part.tokens / part.counted if part.counted else None,
            }
            for (domain, language), part in sorted(self._parts.items())
        ]
