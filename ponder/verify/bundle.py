"""A small package of Python files as one program, and its test files as ones that import that program.

    files, test file -> program that holds all files, test file whose imports of them are taken from `solution`

Tests and program then run apart, as those of single programs do: the tests see plain values only, and nothing that a
file of the repository does at import can reach them.
"""

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ponder.verify.modules import attributes, data_names, modules_of

__all__ = ["BundleError", "Bundled", "bundled"]

_LOADER = """\
import importlib, importlib.abc, importlib.util, json, sys

class _Files(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, files):
        self.files = files

    def find_spec(self, name, path=None, target=None):
        stems = [root + name.replace(".", "/") for root in ("", "src/")]
        for stem in stems:
            for file, package in ((stem + "/__init__.py", True), (stem + ".py", False)):
                if file in self.files:
                    return importlib.util.spec_from_loader(name, self, origin=file, is_package=package)
        if any(file.startswith(stem + "/") for stem in stems for file in self.files):
            return importlib.util.spec_from_loader(name, self, origin=None, is_package=True)
        return None

    def exec_module(self, module):
        origin = module.__spec__.origin
        if origin is not None:
            module.__file__ = origin
            exec(compile(self.files[origin], origin, "exec"), module.__dict__)

sys.meta_path.insert(0, _Files(json.loads({files})))
"""


class BundleError(ValueError):
    """Why tests cannot be run apart from the files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """`tests` import from `solution` what `exports` names: name there -> (module, attribute); `modules` are those that
    they import, in that order, for whatever these do when they are imported."""

    tests: str
    exports: Mapping[str, tuple[str, str]]
    modules: tuple[str, ...] = ()

    def program(self, files: Mapping[str, str]) -> str:
        """The program that holds `files`, by path."""
        lines = [_LOADER.format(files=repr(json.dumps(dict(files), sort_keys=True)))]
        lines += [f"importlib.import_module({module!r})" for module in self.modules]
        for name, (module, attribute) in sorted(self.exports.items()):
            lines.append(f"{name} = importlib.import_module({module!r}).{attribute}")
        return "\n".join(lines) + "\n"


def bundled(path: str, source: str, files: Mapping[str, str]) -> Bundled:
    """The test file `source` with its imports of `files` taken from `solution`, each under one name that nothing else
    binds, so that what looks at names sees which of them are the program's. BundleError where it needs more of the
    files than names: a module handed on, a star, a patch by name, data that the program may change."""
    try:
        tree: ast.AST = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BundleError(f"{path} cannot be read as Python: {error}") from None
    imports = _Imports(path, files)
    tree = imports.visit(tree)
    for line, name in _bound(tree):
        if name in imports.meanings:
            raise BundleError(
                f"line {line} of {path} gives {name} another meaning than {'.'.join(imports.meanings[name])}"
            )
    _refuse_names_in_texts(path, tree, files)
    uses = _Uses(path, files, imports)
    tree = uses.visit(tree)
    return Bundled(
        tests=ast.unparse(ast.fix_missing_locations(tree)), exports=uses.exports, modules=tuple(imports.modules)
    )


class _Imports(ast.NodeTransformer):
    """Takes the imports of the files out of a test file."""

    def __init__(self, path: str, files: Mapping[str, str]) -> None:
        self._path, self._files = path, files
        self.known = set(modules_of(files))
        """The modules of the files, and those that the tests expect among them."""
        self.meanings: dict[str, tuple[str, ...]] = {}
        """What a name stands for: (module,) or (module, attribute)."""
        self.modules: dict[str, None] = {}
        self._inside: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Keeps what stands around: an import in a function is made when that runs, one elsewhere perhaps never."""
        around = isinstance(node, ast.stmt) and hasattr(node, "body")
        if around:
            self._inside.append(type(node).__name__)
        try:
            found: ast.AST = super().visit(node)
        finally:
            if around:
                self._inside.pop()
        return found

    def visit_Import(self, node: ast.Import) -> ast.AST:
        others = []
        for alias in node.names:
            if not self._is_ours(alias.name):
                others.append(alias)
            elif alias.asname:
                self._mean(node, alias.asname, alias.name)
            else:
                self._mean(node, alias.name.partition(".")[0], alias.name.partition(".")[0])
                self.modules[alias.name] = None
        return ast.copy_location(ast.Import(names=others) if others else ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level:
            raise BundleError(f"line {node.lineno} of {self._path} imports relatively; expected the module's full name")
        if node.module is None or not self._is_ours(node.module):
            return node
        for alias in node.names:
            if alias.name == "*":
                raise BundleError(
                    f"line {node.lineno} of {self._path} imports all of {node.module}; name what it needs"
                )
            if f"{node.module}.{alias.name}" in self.known:
                self._mean(node, alias.asname or alias.name, f"{node.module}.{alias.name}")
            else:
                self._mean(node, alias.asname or alias.name, node.module, alias.name)
        return ast.copy_location(ast.Pass(), node)

    def _is_ours(self, module: str) -> bool:
        parts = module.split(".")
        ours = parts[0] in self.known
        if ours:
            self.known.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return ours

    def _mean(self, node: ast.stmt, name: str, *meaning: str) -> None:
        where = f"line {node.lineno} of {self._path}"
        if any(one not in ("FunctionDef", "AsyncFunctionDef") for one in self._inside):
            raise BundleError(f"{where} imports {'.'.join(meaning)} on a condition; import it at the top")
        if self._inside and len(meaning) == 2 and meaning[1] in data_names(self._files, meaning[0]):
            raise BundleError(f"{where} reads {'.'.join(meaning)} while tests run; import it at the top")
        if self.meanings.setdefault(name, meaning) != meaning:
            raise BundleError(f"{where} gives {name} another meaning than {'.'.join(self.meanings[name])}")
        self.modules[meaning[0]] = None


class _Uses(ast.NodeTransformer):
    """Puts names of `solution` where a test file uses what it had imported."""

    def __init__(self, path: str, files: Mapping[str, str], imports: _Imports) -> None:
        self._path, self._files = path, files
        self._meanings, self._known = imports.meanings, imports.known
        self.exports: dict[str, tuple[str, str]] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        meaning = self._meanings.get(node.id)
        if meaning is None:
            return node
        if len(meaning) == 1:
            raise BundleError(f"line {node.lineno} of {self._path} uses the module {meaning[0]} itself")
        return ast.copy_location(self._export(*meaning), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        chain = _chain(node)
        if chain is None or len(self._meanings.get(chain[0], ())) != 1:
            return self.generic_visit(node)
        parts = [*self._meanings[chain[0]][0].split("."), *chain[1:]]
        deepest = max(end for end in range(1, len(parts) + 1) if ".".join(parts[:end]) in self._known)
        module, rest = ".".join(parts[:deepest]), parts[deepest:]
        if not rest or not isinstance(node.ctx, ast.Load):
            raise BundleError(f"line {node.lineno} of {self._path} uses the module {module} itself")
        if rest[0] in data_names(self._files, module):
            raise BundleError(
                f"line {node.lineno} of {self._path} reads {module}.{rest[0]} while tests run; import it at the top, "
                f"with `from {module} import {rest[0]}`"
            )
        found: ast.expr = self._export(module, rest[0])
        for name in rest[1:]:
            found = ast.Attribute(value=found, attr=name, ctx=ast.Load())
        return ast.copy_location(found, node)

    def visit_Module(self, node: ast.Module) -> ast.AST:
        self.generic_visit(node)
        if self.exports:
            names = [ast.alias(name=name) for name in sorted(self.exports)]
            place = next((i for i, one in enumerate(node.body) if not _is_first(one)), len(node.body))
            node.body.insert(place, ast.ImportFrom(module="solution", names=names, level=0))
        return node

    def _export(self, module: str, attribute: str) -> ast.Name:
        name = f"{module}.{attribute}".replace("_", "_0").replace(".", "_1")
        self.exports[name] = (module, attribute)
        return ast.Name(id=name, ctx=ast.Load())


def _bound(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Lines and names of everything that gives a name a meaning."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.MatchMapping(rest=str(name)):
                yield node.lineno, name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from ((node.lineno, name) for name in names)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    yield node.lineno, alias.asname or alias.name.partition(".")[0]


def _refuse_names_in_texts(path: str, tree: ast.AST, files: Mapping[str, str]) -> None:
    """Texts that name a module or what is in it, as patches and imports by name do, reach nothing from the tests."""
    known = modules_of(files)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        module, dot, name = node.value.rpartition(".")
        if dot and (node.value in known or (module in known and name in attributes(files, module))):
            raise BundleError(f"line {node.lineno} of {path} names {node.value!r} in a text, as patches do")


def _is_first(node: ast.stmt) -> bool:
    """What has to stay at the top of a file."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _chain(node: ast.expr) -> list[str] | None:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else None
