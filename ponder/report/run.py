"""A run folder read into values: each stage's state, metrics, evaluations. Works while the run goes on."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ponder.errors import RunFolderError
from ponder.evaluation.scores import Scores, load_scores, read_scores
from ponder.files import read_json
from ponder.manifest import Manifest, Session, ended, is_done, now, read_manifest
from ponder.watch.metrics import Row, read_metrics

__all__ = ["Run", "StageRecord", "read_run"]

_RESOLVED = "recipe.resolved.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """One stage. `scores` are the evaluations by step; `benchmarks` those of an `evaluate` stage by file name. `status`
    is `waiting`, `running`, `interrupted`, `failed`, `killed` or `done`."""

    name: str
    kind: str
    status: str
    seconds: float
    folder: Path
    config: Mapping[str, Any]
    error: str | None
    versions: Mapping[str, str]
    results: Mapping[str, Any]
    rows: Sequence[Row]
    scores: Mapping[int, Scores]
    benchmarks: Mapping[str, Scores]

    @property
    def start(self) -> tuple[int, Scores] | None:
        """Step and scores of the evaluation before any update."""
        return (0, self.scores[0]) if 0 in self.scores else None

    @property
    def end(self) -> tuple[int, Scores] | None:
        """Step and scores of the latest evaluation after an update."""
        last = max(self.scores, default=0)
        return (last, self.scores[last]) if last > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run folder: the recipe as it was resolved, and its stages in the recipe's order."""

    folder: Path
    name: str
    recipe: Mapping[str, Any]
    smoke: bool
    stages: tuple[StageRecord, ...]

    def relative(self, path: Path) -> str:
        """A path as seen from the run folder, as the page names files."""
        return path.relative_to(self.folder).as_posix()


def read_run(folder: Path) -> Run:
    """The run in `folder`; RunFolderError if it is no run folder or a file in it is damaged."""
    if not (folder / _RESOLVED).is_file():
        raise RunFolderError(
            f"{str(folder)!r} is no run folder: it has no {_RESOLVED}. Give the folder that `ponder run` names, such "
            "as runs/zero-micro."
        )
    made = read_json(folder / _RESOLVED)
    try:
        recipe, smoke = made["recipe"], made["smoke"]
        name, kinds = recipe["name"], {stage: config["kind"] for stage, config in recipe["stages"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(
            f"{str(folder / _RESOLVED)!r} is damaged: expected a resolved recipe, got trouble with {error}. Run the "
            "recipe again with the same --out, which writes it anew."
        ) from None
    stages = tuple(_stage(folder / "stages" / stage, stage, kind) for stage, kind in kinds.items())
    return Run(folder=folder, name=name, recipe=recipe, smoke=smoke, stages=stages)


def _stage(folder: Path, name: str, kind: str) -> StageRecord:
    manifest = read_manifest(folder)
    session = manifest.sessions[-1] if manifest is not None and manifest.sessions else None
    evaluations = sorted((folder / "evaluation").glob("*--*.json"))
    return StageRecord(
        name=name,
        kind=kind,
        status="waiting" if session is None else _status(folder, session),
        seconds=_seconds(folder, manifest),
        folder=folder,
        config=manifest.config if manifest is not None else {},
        error=session.error if session is not None else None,
        versions=manifest.versions if manifest is not None else {},
        results=manifest.results if manifest is not None else {},
        rows=read_metrics(folder),
        scores=load_scores(folder),
        benchmarks={path.stem: read_scores(path) for path in evaluations},
    )


def _status(folder: Path, session: Session) -> str:
    if is_done(folder):
        return "done"
    if session.outcome == "running" and session.host == socket.gethostname() and not _alive(session.pid):
        return "killed"
    return session.outcome


def _works_here(session: Session) -> bool:
    return session.host == socket.gethostname() and _alive(session.pid)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _seconds(folder: Path, manifest: Manifest | None) -> float:
    """Seconds of all sessions: of one that works here so far, of one that was killed, or is not of this machine, until
    it last wrote a file."""
    if manifest is None:
        return 0.0
    running = manifest.sessions[-1] if manifest.sessions and manifest.sessions[-1].finished is None else None
    if running is None:
        return manifest.seconds
    until = replace(running, finished=now()) if _works_here(running) else ended(running, folder)
    return manifest.seconds + until.seconds
