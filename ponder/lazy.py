"""Packages whose names are loaded when they are asked for first."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazy"]


def lazy(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package, of which `homes` says what is in which file. Keep it from mypy, to which every
    unknown name would be there; no name may be that of a file, which takes its place once it is loaded."""
    file_of = {name: file for file, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in file_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{file_of[name]}"), name)

    return find
