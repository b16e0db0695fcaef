"""Checkpoints that are whole or not there: one folder per step, checked by content, the newest good one wins.

A folder is filled under a temporary name, its files are flushed and listed with their SHA-256 in `checksums.json`, it
is renamed, and the pointer `latest` moves last. What is inside is the writer's business. No torch.
"""

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ponder.errors import CheckpointError, RunFolderError
from ponder.files import publishing, read_json, sweep, write_json, write_text
from ponder.manifest import step_folders

__all__ = ["Checkpoint", "CheckpointStore"]

_CHECKSUMS, _STATE = "checksums.json", "state.json"
_LATEST, _BEST = "latest", "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose checksums hold. `state` is what the stage asked to remember, `best` whether it was the best
    when it was written."""

    folder: Path
    step: int
    state: Mapping[str, Any]
    best: bool = False


class CheckpointStore:
    """The checkpoints of one stage, in `root`; the newest `keep` of them and the best one stay."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep
        self._good: Path | None = None  # the checkpoint that this process last wrote, or found to be as it was written

    def save(
        self,
        step: int,
        write: Callable[[Path], None],
        state: Mapping[str, Any],
        unchanged: Mapping[str, Callable[[Path], None]] | None = None,
        best: bool = False,
    ) -> Path:
        """Write the checkpoint of `step`: what `write` puts into the folder it is given, plus `state` as JSON.

        `unchanged` says which subfolders are as they were at the checkpoint before, and how each is written. They are
        taken over from there, as hard links where the disk allows, if the files are still what was written, and
        written anew if not: a checksum never vouches for a file that was damaged since.
        Raises CheckpointError when the disk is full; earlier checkpoints are intact then.
        """
        folder = _step_folder(self._root, step)
        digests: dict[str, str] = {}
        try:
            with publishing(folder) as temporary:
                write(temporary)
                for name, rewrite in (unchanged or {}).items():
                    digests |= self._take_over(name, temporary) or _rewritten(name, temporary, rewrite)
                write_json(temporary / _STATE, {"step": step, "state": state, "best": best})
                write_json(temporary / _CHECKSUMS, _checksums(temporary, digests))
            if best:
                self._point(_BEST, folder)
            self._point(_LATEST, folder)
        except (RunFolderError, SafetensorError) as error:
            raise CheckpointError(
                f"The checkpoint of step {step} could not be written: {error}. "
                + (f"Earlier checkpoints in {str(self._root)!r} are intact; give" if self._steps() else "Give")
                + " the same command again once there is room"
                + ("." if self._steps() else ": it was to be the first one, so the steps until then are made again.")
            ) from error
        self._good = folder
        self._prune(step)
        return folder

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is as it was written, or None when there is none at all.

        A damaged one is passed over with a warning; CheckpointError when all are damaged. Where it was the best when it
        was written, and its writer was killed before it said so, that is made good.
        """
        sweep(self._root)
        damage: CheckpointError | None = None
        for folder in reversed(self._steps()):
            try:
                found = _verified(folder)
                self._good = folder
                if self._pointed(_LATEST) != folder:  # its pointers come last, and it may have been taken back since
                    if found.best:
                        self._point(_BEST, folder)
                    self._point(_LATEST, folder)
                return found
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
        return self._pointed(_BEST)

    def take_back_best(self, step: int, before: int) -> bool:
        """Where the best checkpoint is that of `step`, make it that of the step `before` again, none if `before` is 0.
        False if that cannot be, since the older checkpoint is gone."""
        best, older = self.best(), _step_folder(self._root, before)
        if best != _step_folder(self._root, step):
            return True
        if older.is_dir():
            self._point(_BEST, older)
        else:
            (self._root / _BEST).unlink()
        return before == 0 or older.is_dir()

    def _pointed(self, pointer: str) -> Path | None:
        path = self._root / pointer
        return self._root / path.read_text().strip() if path.exists() else None

    def _point(self, pointer: str, folder: Path) -> None:
        write_text(self._root / pointer, folder.name + "\n")

    def _steps(self) -> list[Path]:
        return step_folders(self._root)

    def _take_over(self, name: str, temporary: Path) -> dict[str, str] | None:
        """The subfolder of the last good checkpoint, linked into the new one, with its digests as they were when it was
        written; None, and nothing linked, if there is none or it is not that any more."""
        if self._good is None or not (self._good / name).is_dir():
            return None
        try:
            digests = {path: digest for path, digest in _expected(self._good).items() if path.startswith(f"{name}/")}
            _check(self._good, digests)
        except CheckpointError as error:
            warnings.warn(f"{error} {name!r} is written anew.", stacklevel=3)
            return None
        shutil.copytree(self._good / name, temporary / name, copy_function=_link)
        return digests

    def _prune(self, step: int) -> None:
        """Remove all but the newest up to `step` and the best. Later ones are of a way that was given up: training went
        back behind them because they were damaged, and they would pass for the newest."""
        now = _step_folder(self._root, step)
        past = [folder for folder in self._steps() if folder <= now]
        for folder in {*self._steps()} - {*past[-self._keep :]}:
            if folder != self.best():
                doomed = folder.with_name(".tmp-" + folder.name)  # swept later if this process dies here
                folder.rename(doomed)
                shutil.rmtree(doomed)


def _step_folder(root: Path, step: int) -> Path:
    return root / f"step-{step:08d}"


def _rewritten(name: str, temporary: Path, rewrite: Callable[[Path], None]) -> dict[str, str]:
    """No digests: what was written by this process just now is hashed with all the rest."""
    rewrite(temporary)
    if not (temporary / name).is_dir():
        raise AssertionError(f"the part {name!r} of a checkpoint was not written into a folder of this name")
    return {}


def _checksums(folder: Path, known: Mapping[str, str]) -> dict[str, str]:
    """The digest of every file, by path; those that are known are not read again."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _CHECKSUMS)
    names = [path.relative_to(folder).as_posix() for path in files]
    return {name: known.get(name) or _sha256(path) for name, path in zip(names, files, strict=True)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(folder: Path) -> Checkpoint:
    _check(folder, _expected(folder))
    state = read_json(folder / _STATE)
    return Checkpoint(folder=folder, step=state["step"], state=state["state"], best=state.get("best", False))


def _expected(folder: Path) -> dict[str, str]:
    """The digests of a checkpoint's files as it was written."""
    try:
        expected: dict[str, str] = read_json(folder / _CHECKSUMS)
        return expected
    except (OSError, RunFolderError) as error:
        raise CheckpointError(
            f"Checkpoint {str(folder)!r} is damaged: {_CHECKSUMS} cannot be read ({error})."
        ) from error


def _check(folder: Path, expected: Mapping[str, str]) -> None:
    """CheckpointError if a file of the folder is missing, or not what was written."""
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"Checkpoint {str(folder)!r} is damaged: its file {name!r} is missing.")
        try:
            found = _sha256(path)
        except OSError as error:  # what a failing disk answers
            raise CheckpointError(
                f"Checkpoint {str(folder)!r} is damaged: its file {name!r} cannot be read ({error})."
            ) from error
        if found != digest:
            raise CheckpointError(
                f"Checkpoint {str(folder)!r} is damaged: its file {name!r} is not what was written (expected SHA-256 "
                f"{digest[:12]}...)."
            )


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
    return target
