"""The texts of own files and of what they import beside them: read once, never run here.

Imports are found in the text, those inside functions too: `import words` is `words.py`, or the folder `words` with all
its Python files, in the folder of the file that imports it. What was read is what runs and what the digests are of,
whatever happens to the files afterwards. Standard modules and installed packages are no part of it; data files are
neither, since a text does not say which ones it will open.
"""

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePath

from ponder.errors import RecipeError
from ponder.files import expand_path

__all__ = ["Module", "OwnCode", "read_own"]

_NOT_OURS = frozenset({*sys.stdlib_module_names, "ponder"})
"""Modules that a file beside an own file never stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One Python file. `written` is its path as the recipe would write it."""

    path: str
    written: str
    text: str
    is_package: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """`files` maps a file as it is named in the recipe to the name its module gets, `modules` those names to texts."""

    files: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Module] = field(default_factory=dict)

    def digests(self) -> dict[str, str]:
        """A digest of every file by its path as the recipe would write it."""
        return {one.written: sha256(one.text.encode()).hexdigest() for one in self.modules.values() if one.written}

    def place(self, name: str) -> str:
        """Where a function or class is defined, as `rewards.py:12: `; nothing where its file does not define it."""
        file, _, wanted = name.rpartition(":")
        module = self.modules.get(self.files.get(file, ""))
        for node in ast.parse(module.text).body if module is not None else ():
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == wanted:
                return f"{PurePath(file).name}:{node.lineno}: "
        return ""


def read_own(files: Collection[str], folder: Path) -> OwnCode:
    """The own files that a recipe in `folder` names, with what they import beside them. RecipeError for a file that is
    not there or is no Python."""
    named: dict[str, str] = {}
    modules: dict[str, Module] = {}
    for file in dict.fromkeys(files):
        path = (folder / expand_path(file)).absolute()
        if not path.is_file():
            raise RecipeError(
                f"there is no file {file!r} (looked at {str(path)!r}{_beside(path)}): the files of your own functions "
                "are found from the folder of the recipe",
                about=file,
            )
        name = _module_name(path)
        named[file] = name
        for found, module in _modules(name, path, PurePath(file).parent):
            known = modules.setdefault(found, module)
            if known.path != module.path:
                raise RecipeError(
                    f"{known.path!r} and {module.path!r} would both be the module {found!r} of one process: give one "
                    "of them another name"
                )
    return OwnCode(files=named, modules=modules)


def _beside(path: Path) -> str:
    there = sorted(one.name for one in path.parent.glob("*.py")) if path.parent.is_dir() else []
    return f", beside which there are {', '.join(there[:10])}" if there else ""


def _module_name(path: Path) -> str:
    """The file's own name, so that files beside it can import it; another where that would hide something."""
    stem = path.stem
    return stem if stem.isidentifier() and stem not in _NOT_OURS else f"own {stem}"


def _modules(name: str, path: Path, written: PurePath) -> Iterator[tuple[str, Module]]:
    """The module of a file and of all that it imports beside it."""
    waiting = [(name, path, False)]
    seen: set[str] = set()
    while waiting:
        found, file, is_package = waiting.pop()
        if found in seen:
            continue
        seen.add(found)
        if not file.is_file():  # a folder of modules without an __init__.py
            yield found, Module(path=str(file.parent), written="", text="", is_package=True)
            continue
        text = _read(file)
        where = written / file.relative_to(path.parent) if file.is_relative_to(path.parent) else PurePath(file)
        yield found, Module(path=str(file), written=str(where), text=text, is_package=is_package)
        for imported in _imported(text, file):
            waiting += _beside_modules(imported, path.parent)


def _beside_modules(name: str, folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """What the import of a top-level name loads from `folder`; nothing where it means something installed."""
    if name in _NOT_OURS:
        return
    package = folder / name
    if package.is_dir() and any(package.rglob("*.py")):
        yield name, package / "__init__.py", True
        for file in sorted(package.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if all(part.isidentifier() for part in parts):
                for depth in range(2, len(parts)):  # the folders on the way
                    inner = folder.joinpath(*parts[:depth])
                    yield ".".join(parts[:depth]), inner / "__init__.py", True
                if parts[-1] != "__init__":
                    yield ".".join(parts), file, False
    elif (file := folder / f"{name}.py").is_file():
        yield name, file, False


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{str(file)!r} cannot be read ({error}): own files are Python in UTF-8") from None


def _imported(text: str, file: Path) -> Iterator[str]:
    """The top-level names that a text imports, anywhere in it."""
    try:
        tree = ast.parse(text, str(file))
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        shown = (error.text or "").strip() if isinstance(error, SyntaxError) else ""
        raise RecipeError(
            f"{file}{f':{line}' if line else ''}: not valid Python: {what}"
            f"{f', at {shown!r}' if shown else ''}: mend that line; `python {file}` says the same"
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]
