"""What the Python files of a small package say about themselves, read without running them."""

import ast
from collections.abc import Iterator, Mapping
from functools import lru_cache

__all__ = ["attributes", "data_names", "methods", "modules_of", "source_of"]

SOURCE = "src/"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEEPEST = 10
"""Imports and base classes that are followed from file to file."""


def modules_of(files: Mapping[str, str]) -> frozenset[str]:
    """Every module and package that the files make; those in a folder `src` are at the top, as installing puts them."""
    found: set[str] = set()
    for path in files:
        if path.endswith(".py"):
            parts = path.removeprefix(SOURCE).removesuffix(".py").removesuffix("/__init__").split("/")
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return frozenset(found)


def source_of(files: Mapping[str, str], module: str) -> tuple[str, bool] | None:
    """The text of a module, and whether it is a package; None where no file has it."""
    stem = module.replace(".", "/")
    for root in ("", SOURCE):
        for path, is_package in ((f"{root}{stem}/__init__.py", True), (f"{root}{stem}.py", False)):
            if path in files:
                return files[path], is_package
    return None


def attributes(files: Mapping[str, str], module: str) -> frozenset[str]:
    """Names that a module has once it is imported, but for those that a star brings."""
    return frozenset(name for name, _ in _bound(_body(files, module)))


def data_names(files: Mapping[str, str], module: str) -> frozenset[str]:
    """Those of them that are neither functions nor classes nor imported: what the module may change as it goes."""
    return frozenset(name for name, is_data in _bound(_body(files, module)) if is_data)


def methods(files: Mapping[str, str], module: str, name: str, depth: int = 0) -> frozenset[str] | None:
    """The methods and fields of a class, those of its bases among them where these are in the files; None where it is
    no class."""
    for node in _body(files, module):
        if isinstance(node, ast.ClassDef) and node.name == name:
            found = {one.name for one in node.body if isinstance(one, _FUNCTIONS)}
            fields = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
            found |= {one.id for one in fields if isinstance(one, ast.Name)}
            for base in node.bases:
                if isinstance(base, ast.Name) and depth < _DEEPEST:
                    found |= methods(files, module, base.id, depth + 1) or frozenset()
            return frozenset(found)
        if isinstance(node, ast.ImportFrom) and depth < _DEEPEST:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return methods(files, _absolute(node, module, files), alias.name, depth + 1)
    return None


def _body(files: Mapping[str, str], module: str) -> list[ast.stmt]:
    found = source_of(files, module)
    return [] if found is None else _parsed(found[0])


@lru_cache(maxsize=256)
def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, bool]]:
    """Names that statements at the top level bind, and whether they are data."""
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, False
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    yield alias.asname or alias.name.partition(".")[0], False
            case _:
                nested = [one for field in ("body", "orelse", "finalbody") for one in getattr(node, field, ())]
                for handler in getattr(node, "handlers", ()):
                    nested += handler.body
                yield from _bound(nested)
                own = [node] if not nested else [getattr(node, "target", None), *getattr(node, "items", ())]
                is_data = not (isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Lambda))
                for one in own:
                    for inner in ast.walk(one) if one is not None else ():
                        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                            yield inner.id, is_data


def _absolute(node: ast.ImportFrom, module: str, files: Mapping[str, str]) -> str:
    """The full name of the module that an import inside `module` names."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    found = source_of(files, module)
    base = parts[: len(parts) - node.level + (found is not None and found[1])]
    return ".".join([*base, *([node.module] if node.module else [])])
