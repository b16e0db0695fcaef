"""How fast earlier runs of the same stage went on this machine, read from their metrics."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from ponder.errors import RunFolderError
from ponder.files import read_json
from ponder.manifest import Manifest, read_manifest
from ponder.pipeline.shape import Shape
from ponder.pipeline.survey import Standing
from ponder.watch.metrics import Row, read_metrics

__all__ = ["Measured", "Rates", "find_measured", "find_rates", "seconds_by_rollout"]

_SAME = (
    "kind", "model", "architecture", "problems_per_step", "group_size", "updates_per_rollout", "sampling",
    "tokens_per_step", "examples", "batch_size", "max_tokens", "lora",
)  # fmt: skip
"""Stage keys that must agree for a run to tell another's speed."""
_SAME_SIZE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Medians over the steps of an earlier run, and what measuring and saving cost beside them; `steps_done` counts
    only if it is this very run. `threads` are those it had, None where that is not recorded."""

    seconds_per_step: float
    mean_tokens: float | None
    steps_done: int
    origin: str
    threads: int | None = None


def find_measured(standing: Standing, out: Path) -> Measured | None:
    """The run's own steps so far, else a run of the same shape on this host beside it in the folder of runs. Others
    that are damaged tell nothing; RunFolderError where its own folder is."""
    for folder in _candidates(standing, out):
        try:
            found = _measured(standing, folder)
        except RunFolderError:
            if folder == standing.folder:
                raise
            continue
        if found is not None:
            return found
    return None


def _measured(standing: Standing, folder: Path) -> Measured | None:
    manifest = read_manifest(folder)
    if manifest is None or not _alike(manifest, standing):
        return None
    rows = [row for row in read_metrics(folder) if row.get("seconds/step") is not None]
    steps = [fmean(part) for part in seconds_by_rollout(rows)]
    if not steps:
        return None
    lengths = [value for row in rows if (value := row.get("rollout/mean_tokens")) is not None]
    apart = sum(row.get(f"seconds/{name}") or 0.0 for row in rows for name in ("evaluate", "save"))
    own = folder == standing.folder
    return Measured(
        seconds_per_step=median(steps) + apart / len(rows),
        mean_tokens=median(lengths) if lengths else None,
        steps_done=int(rows[-1]["step"] or 0) if own else 0,
        origin=f"{len(rows)} steps measured in {folder}",
        threads=manifest.sessions[-1].threads,
    )


def seconds_by_rollout(rows: Sequence[Row]) -> list[list[float]]:
    """The seconds of the steps of each rollout, whose first one sampled for all; of other stages step by step."""
    found: list[list[float]] = []
    for row in rows:
        if not found or "rollout/tokens" in row or "rollout/tokens" not in rows[0]:
            found.append([])
        found[-1].append(row["seconds/step"] or 0.0)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What `ponder try` measured of a model of this size on this host: tokens per second, and the mean length of the
    completions in the template that suited."""

    sampled: float
    trained: float
    template: str
    mean_tokens: float
    origin: str


def find_rates(shape: Shape, folder: Path = Path("tries")) -> Rates | None:
    """The newest of those in `folder`, from the working directory, that is not damaged."""
    for path in sorted(folder.glob("*/tried.json"), key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            tried = read_json(path)
        except RunFolderError:
            continue
        same = (tried.get("model_type"), tried.get("host")) == (shape.model_type, socket.gethostname())
        if not same or "trained_tokens_per_second" not in tried:
            continue
        if abs(tried["parameters"] - shape.parameters) < _SAME_SIZE * shape.parameters:
            return Rates(
                sampled=tried["sampled_tokens_per_second"],
                trained=tried["trained_tokens_per_second"],
                template=tried["best"]["template"],
                mean_tokens=tried["best"]["mean_tokens"],
                origin=str(path),
            )
    return None


def _candidates(standing: Standing, out: Path) -> Iterator[Path]:
    yield standing.folder
    yield from sorted(out.parent.glob("*/stages/*"), reverse=True)


def _alike(manifest: Manifest, standing: Standing) -> bool:
    config = standing.stage.model_dump(mode="json")
    same = all(manifest.config.get(key) == config.get(key) for key in _SAME)
    return same and not manifest.smoke and manifest.sessions[-1].host == socket.gethostname()
