"""What `manifest.json` in a stage's folder says: what was asked for, from what, when it ran, and what came out.

The pipeline writes it; everything else only reads it.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ponder.errors import RunFolderError
from ponder.files import read_json, write_json

__all__ = [
    "DONE",
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "Session",
    "Status",
    "ended",
    "is_done",
    "now",
    "read_manifest",
    "step_folders",
    "updates_made",
]

FORMAT = 1
"""Version of the layout of run folders and manifests that this code writes."""

MANIFEST = "manifest.json"
DONE = "done"
"""The mark that a stage is finished: written last, holding the fingerprint."""

Status = Literal["running", "interrupted", "failed", "killed", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One process's work on a stage, in ISO 8601 UTC. `finished` is None while it works (or after it was killed), and
    `threads`, which last digits depend on, where an older ponder worked.
    Example: Session(started="2026-03-01T12:00:00+00:00", host="box", pid=17)."""

    started: str
    host: str
    pid: int
    finished: str | None = None
    outcome: Status = "running"
    error: str | None = None
    threads: int | None = None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds, 0 while unfinished."""
        if self.finished is None:
            return 0.0
        return (datetime.fromisoformat(self.finished) - datetime.fromisoformat(self.started)).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A stage's record. `identity` is everything that decides its result, `fingerprint` the hash of that. `clock` is
    the time told to chat templates that write the date, one for all stages and sessions of a run. `precision` is what
    `auto` was on the machine where the stage began, None where the recipe says it or an older ponder began. `continued`
    are the steps after which more were asked for than before. `products` are the files that a finished stage left for
    others, as `files.sealed` says; None while it is unfinished."""

    recipe: str
    stage: str
    kind: str
    config: Mapping[str, Any]
    identity: Mapping[str, Any]
    fingerprint: str
    seed: int
    smoke: bool
    versions: Mapping[str, str]
    sessions: tuple[Session, ...]
    clock: str | None = None
    precision: Literal["fp32", "bf16"] | None = None
    continued: tuple[int, ...] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    products: Mapping[str, str] | None = None
    format: int = FORMAT

    @property
    def status(self) -> Status:
        """How the last session ended; `running` also stands after a kill that nobody has noticed yet."""
        return self.sessions[-1].outcome

    @property
    def seconds(self) -> float:
        """Wall-clock seconds over all sessions."""
        return sum(session.seconds for session in self.sessions)

    def write(self, folder: Path) -> None:
        """Replace `folder/manifest.json`."""
        write_json(folder / MANIFEST, asdict(self) | {"status": self.status, "seconds": self.seconds})


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a stage folder, None where there is none; raises RunFolderError if damaged or too new."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    value = read_json(path)
    version = value.get("format") if isinstance(value, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise RunFolderError(
            f"{str(path)!r} was written by a newer ponder (layout {version}, this one knows up to {FORMAT}): upgrade "
            "ponder, or give another folder with --out"
        )
    try:
        return TypeAdapter(Manifest).validate_python({k: v for k, v in value.items() if k not in ("status", "seconds")})
    except (ValidationError, AttributeError) as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged: expected a stage's manifest, got {' '.join(str(error).split())[:200]}; restore "
            "it, or move its folder away to run the stage anew"
        ) from None


def ended(session: Session, folder: Path) -> Session:
    """The session as one that is over: one without an end was killed, and lived at least until it last wrote a file
    into the stage's folder."""
    if session.finished is not None:
        return session
    last = datetime.fromisoformat(session.started).timestamp()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # of somebody who works there still
            last = max(last, path.stat().st_mtime)
    return replace(session, finished=_written(datetime.fromtimestamp(last, UTC)), outcome="killed")


def is_done(folder: Path) -> bool:
    """Whether the stage of this folder is finished."""
    return (folder / DONE).exists()


def updates_made(folder: Path) -> int:
    """The step of a stage folder's latest checkpoint, which is the last step of a finished stage; 0 without one."""
    return max((int(path.name.removeprefix("step-")) for path in step_folders(folder / "checkpoints")), default=0)


def step_folders(checkpoints: Path) -> list[Path]:
    """The checkpoints in a folder by step; what else lies there, such as somebody's copy of one, is none."""
    found = checkpoints.glob("step-*")
    return sorted(path for path in found if re.fullmatch(r"step-\d{8}", path.name) and path.is_dir())


def now() -> str:
    """The present time as manifests write it."""
    return _written(datetime.now(UTC))


def _written(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
