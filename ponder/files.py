"""Files that are either whole or not there: written under a temporary name, flushed to the disk, then renamed.

A killed process leaves at most entries whose name begins with `.tmp-`; `sweep` removes them. A full disk is a
RunFolderError and leaves what stood before untouched.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from ponder.errors import RunFolderError

__all__ = [
    "EMBEDDED",
    "EMBEDDED_BASE",
    "TEMPORARY",
    "expand_path",
    "file_digest",
    "folder_digest",
    "full_disk_explained",
    "is_gguf",
    "is_pointer",
    "model_path",
    "new_folder",
    "placing",
    "publishing",
    "read_json",
    "replacing",
    "sealed",
    "sweep",
    "write_bytes",
    "write_json",
    "write_text",
]

_MICRO = Path(__file__).parent / "micro"

EMBEDDED: Mapping[str, Path] = {"micro": _MICRO / "base", "micro-student": _MICRO / "student"}
"""The models that ship with the package, by the name that a recipe calls them: the base model and a smaller one with
the same tokenizer, that is to be distilled into."""

EMBEDDED_BASE = EMBEDDED["micro"]
"""Folder of the embedded base model."""

TEMPORARY = ".tmp-"
"""Names of unfinished files and folders begin with this."""

_REPLACED = ".old-"
"""A folder that is being replaced has this before its name while the new one takes its place."""

_HASHED_WHOLE_BYTES = 64 * 2**20
_POINTER = b"version https://git-lfs"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace or create the file in one step."""
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Replace or create the file, in UTF-8, in one step."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replace or create the file with `value` as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value of a file; raises FileNotFoundError, or RunFolderError if it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged: expected JSON, got {error}; restore it from a copy or remove its folder"
        ) from None


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes `path` when the block ends well and vanishes when it does not: for what does not
    fit into memory."""
    with full_disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def placing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, for libraries that open their files themselves: what stands there becomes `path`
    when the block ends well and vanishes when it does not."""
    with full_disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path.parent))
        try:
            yield folder / path.name
            _sync_file(folder / path.name)
            (folder / path.name).replace(path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _sync_folder(path.parent)


@contextmanager
def publishing(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `folder` when the block ends well and vanishes when it does not.

    What stood at `folder` before is replaced. A process killed in between leaves it under another name, from which
    `sweep` of the folder around it, or the next publishing, brings it back.
    """
    with full_disk_explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        old = folder.with_name(_REPLACED + folder.name)
        _bring_back(old)
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
        try:
            temporary.chmod(0o755)
            yield temporary
            for directory, _, names in os.walk(temporary):
                for name in names:
                    path = Path(directory) / name
                    if (mode := path.stat().st_mode) & 0o644 != 0o644:
                        path.chmod(mode | 0o644)  # safetensors writes what its owner alone may read
                    _sync_file(path)
                _sync_folder(Path(directory))
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
        except BaseException:
            _bring_back(old)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(folder.parent)
        _bring_back(old)


def sweep(folder: Path) -> None:
    """Remove what a killed process left unfinished directly in `folder`; bring back what it was about to replace."""
    for path in folder.glob(_REPLACED + "*"):
        _bring_back(path)
    for path in folder.glob(TEMPORARY + "*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _bring_back(old: Path) -> None:
    """Give a folder that was to be replaced its name again, or remove it where the new one has taken its place."""
    if not old.exists():
        return
    folder = old.with_name(old.name.removeprefix(_REPLACED))
    if folder.exists():
        doomed = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=old.parent))
        old.rename(doomed / folder.name)  # so that what bears the name of an old one is always whole
        shutil.rmtree(doomed)
    else:
        old.rename(folder)


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turns the operating system's error about a full disk, quota or file-size limit, also where safetensors reports
    it in words, into a RunFolderError that names `path`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number(error)
        if number not in _DISK_FULL:
            raise
        raise RunFolderError(
            f"the disk is full: writing {str(path)!r} stopped with {os.strerror(number)!r}; what was finished before "
            "is kept, so free some space and give the same command again"
        ) from error


def _number(error: OSError | SafetensorError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def new_folder(folder: Path) -> Path:
    """The folder, numbered where one of its name stands there: earlier results are not overwritten."""
    names = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(name for name in chain([folder], names) if not name.exists())


def expand_path(text: str) -> Path:
    """A path as written in a recipe, with `~` and `$VARIABLES` filled in."""
    return Path(os.path.expandvars(text)).expanduser()


def model_path(reference: str) -> Path:
    """The folder, or GGUF file, that a model reference names unless it is a hub id: an embedded model or a path."""
    return EMBEDDED.get(reference) or expand_path(reference)


def is_gguf(path: Path) -> bool:
    """Whether a model reference means a GGUF file."""
    return path.suffix == ".gguf" and path.is_file()


def is_pointer(path: Path) -> bool:
    """Whether a file is what Git LFS leaves in place of one that was not fetched."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def file_digest(path: Path) -> str:
    """Content hash of a file; beyond 64 MiB size and modification time stand for the content."""
    status = path.stat()
    if status.st_size > _HASHED_WHOLE_BYTES:
        return f"stat:{status.st_size}:{status.st_mtime_ns}"
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def sealed(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The files that `names` are or hold in `folder`, each with its content's hash, or with its size beyond 64 MiB:
    what is still so after a copy to another disk."""
    found: dict[str, str] = {}
    for name in names:
        top = folder / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and not path.name.startswith(TEMPORARY):
                size = path.stat().st_size
                whole = size <= _HASHED_WHOLE_BYTES
                found[path.relative_to(folder).as_posix()] = file_digest(path) if whole else f"bytes:{size}"
    return found


def folder_digest(folder: Path) -> str:
    """Hash of the names and digests of all files below `folder`, hidden ones left out."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inside = path.relative_to(folder)
        if not any(part.startswith(".") for part in inside.parts):
            total.update(f"{inside.as_posix()}\0{file_digest(path)}\n".encode())
    return "sha256:" + total.hexdigest()


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
