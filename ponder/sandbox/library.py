"""The standard library for programs that may not walk to it: a Python below a folder that only root may enter.

The zygote opens the library while it is still root and then becomes nobody. Modules are read, and extensions loaded,
from where that open folder is, so no path above it is looked at.
"""

import fcntl
import importlib.machinery
import importlib.util
import os
import stat
import sys
from importlib.abc import PathEntryFinder
from types import ModuleType
from typing import ClassVar

from ponder.sandbox.namespaces import library_paths

__all__ = ["hold_library", "import_from_held"]


class _Held:
    """Open folders of the library by path; filled once, in the zygote."""

    folders: ClassVar[dict[str, int]] = {}


def hold_library(lowest: int) -> None:
    """Open the library's folders, at descriptors from `lowest` on."""
    for path in library_paths():
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _Held.folders[path] = fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, lowest)
        os.close(handle)


def import_from_held() -> None:
    """Where the library cannot be reached by its path, import it from the open folders; else close them."""
    if all(os.access(f"{path}/.", os.R_OK | os.X_OK) for path in _Held.folders):
        while _Held.folders:
            os.close(_Held.folders.popitem()[1])
        return
    sys.path_hooks.insert(0, _HeldFinder)
    sys.path_importer_cache.clear()


def _open(path: str, flags: int) -> int:
    """Open a path below one of the held folders."""
    for folder, handle in _Held.folders.items():
        if path == folder or path.startswith(f"{folder}/"):
            return os.open(path[len(folder) + 1 :] or ".", flags | os.O_CLOEXEC, dir_fd=handle)
    raise FileNotFoundError(path)


def _stat(path: str) -> os.stat_result:
    handle = _open(path, os.O_PATH)
    try:
        return os.fstat(handle)
    finally:
        os.close(handle)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(_stat(path).st_mode)
    except OSError:
        return False


class _HeldFinder(PathEntryFinder):
    """Finds modules in one folder of the library."""

    def __init__(self, path: str) -> None:
        if not any(path == folder or path.startswith(f"{folder}/") for folder in _Held.folders):
            raise ImportError(f"{path} is not in the library", path=path)
        self._path = path

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        base = f"{self._path}/{fullname.rpartition('.')[2]}"
        if _is_file(package := f"{base}/__init__.py"):
            loader = _HeldSource(fullname, package)
            return importlib.util.spec_from_file_location(
                fullname, package, loader=loader, submodule_search_locations=[base]
            )
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            if _is_file(path := base + suffix):
                return importlib.util.spec_from_file_location(fullname, path, loader=_HeldExtension(fullname, path))
        if _is_file(path := f"{base}.py"):
            return importlib.util.spec_from_file_location(fullname, path, loader=_HeldSource(fullname, path))
        return None


class _HeldSource(importlib.machinery.SourceFileLoader):
    """Reads a module's text, or its bytecode, below a held folder."""

    def get_data(self, path: str) -> bytes:
        with open(_open(path, os.O_RDONLY), "rb") as stream:
            return stream.read()

    def path_stats(self, path: str) -> dict[str, float]:
        found = _stat(path)
        return {"mtime": found.st_mtime, "size": found.st_size}


class _HeldExtension(importlib.machinery.ExtensionFileLoader):
    """Loads an extension by a relative path, from inside its folder."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        folder, _, name = self.path.rpartition("/")
        here, there = os.open(".", os.O_PATH | os.O_CLOEXEC), _open(folder, os.O_PATH)
        os.fchdir(there)
        try:
            return super().create_module(importlib.machinery.ModuleSpec(spec.name, self, origin=f"./{name}"))
        finally:
            os.fchdir(here)
            os.close(here)
            os.close(there)
