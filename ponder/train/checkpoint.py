"""Checkpoints that are whole or not there: one folder per step, checked by content, the newest good one wins.

A folder is filled under a temporary name, its files are flushed and listed with their SHA-256 in `checksums.json`, it
is renamed, and the pointer `latest` moves last. What is inside is the writer's business. No torch.
"""

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ponder.errors import CheckpointError, RunFolderError
from ponder.files import publishing, read_json, sweep, write_json, write_text

__all__ = ["Checkpoint", "CheckpointStore"]

_CHECKSUMS, _STATE = "checksums.json", "state.json"
_LATEST, _BEST = "latest", "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose checksums hold. `state` is what the stage asked to remember."""

    folder: Path
    step: int
    state: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of one stage, in `root`; the newest `keep` of them and the best one stay."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep

    def save(
        self,
        step: int,
        write: Callable[[Path], None],
        state: Mapping[str, Any],
        unchanged: Sequence[str] = (),
        best: bool = False,
    ) -> Path:
        """Write the checkpoint of `step`: what `write` puts into the folder it is given, plus `state` as JSON.

        `unchanged` names subfolders to take over from the newest checkpoint (as hard links where the disk allows).
        Raises CheckpointError when the disk is full; earlier checkpoints are intact then.
        """
        folder = self._root / f"step-{step:08d}"
        earlier = self._steps()
        try:
            with publishing(folder) as temporary:
                write(temporary)
                for name in unchanged:
                    if not earlier:
                        raise AssertionError(f"{name!r} cannot be unchanged: there is no earlier checkpoint")
                    shutil.copytree(earlier[-1] / name, temporary / name, copy_function=_link)
                write_json(temporary / _STATE, {"step": step, "state": state})
                write_json(temporary / _CHECKSUMS, _checksums(temporary))
            if best:
                write_text(self._root / _BEST, folder.name + "\n")
            write_text(self._root / _LATEST, folder.name + "\n")
        except (RunFolderError, SafetensorError) as error:
            raise CheckpointError(
                f"The checkpoint of step {step} could not be written: {error}. Earlier checkpoints in "
                f"{str(self._root)!r} are intact; give the same command again once there is room."
            ) from error
        self._prune()
        return folder

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is as it was written, or None when there is none at all.

        A damaged one is passed over with a warning; CheckpointError when all are damaged.
        """
        sweep(self._root)
        damage: CheckpointError | None = None
        for folder in reversed(self._steps()):
            try:
                return _verified(folder)
            except CheckpointError as error:
                damage = damage or error
                warnings.warn(f"{error} Going back to the checkpoint before it.", stacklevel=2)
        if damage is not None:
            raise CheckpointError(
                f"{damage} There is no undamaged checkpoint to go back to: remove {str(self._root)!r} to train this "
                f"stage from its beginning, or restore the folder from a copy."
            )
        return None

    def best(self) -> Path | None:
        """The folder of the checkpoint last saved as the best."""
        pointer = self._root / _BEST
        return self._root / pointer.read_text().strip() if pointer.exists() else None

    def _steps(self) -> list[Path]:
        return sorted(self._root.glob("step-*"))

    def _prune(self) -> None:
        for folder in self._steps()[: -self._keep]:
            if folder != self.best():
                doomed = folder.with_name(".tmp-" + folder.name)  # swept later if this process dies here
                folder.rename(doomed)
                shutil.rmtree(doomed)


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _CHECKSUMS)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(folder: Path) -> Checkpoint:
    try:
        expected = read_json(folder / _CHECKSUMS)
    except (OSError, RunFolderError) as error:
        raise CheckpointError(
            f"Checkpoint {str(folder)!r} is damaged: {_CHECKSUMS} cannot be read ({error})."
        ) from error
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"Checkpoint {str(folder)!r} is damaged: its file {name!r} is missing.")
        if _sha256(path) != digest:
            raise CheckpointError(
                f"Checkpoint {str(folder)!r} is damaged: its file {name!r} is not what was written (expected SHA-256 "
                f"{digest[:12]}...)."
            )
    state = read_json(folder / _STATE)
    return Checkpoint(folder=folder, step=state["step"], state=state["state"])


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
    return target
