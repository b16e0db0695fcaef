"""Test files as pytest would collect them, read without running them: their names, and whether all of them have to run.

A test that the program can keep from running is no test: those behind a skip, an expected failure or a condition make
a file unusable.
"""

import ast
from collections.abc import Iterator
from copy import copy

__all__ = ["only", "test_names", "why_tests_need_not_run"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LEFT_OUT = frozenset(
    {"skip", "skipif", "skipIf", "skipUnless", "skipTest", "SkipTest", "importorskip", "xfail", "expectedFailure"}
)
_OF = frozenset({"pytest", "unittest", "mark", "self", "cls"})


def test_names(source: str) -> tuple[str, ...]:
    """The tests of a file as pytest names them: `test_area`, `TestArea::test_empty`. None where it is no Python."""
    body = _parsed(source)
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    names = []
    for node in body:
        if isinstance(node, _FUNCTIONS) and node.name.startswith("test"):
            names.append(node.name)
        elif isinstance(node, ast.ClassDef) and _is_collected(node, classes):
            names += [f"{node.name}::{name}" for name in _methods(node, classes)]
    return tuple(names)


def only(source: str, wanted: frozenset[str]) -> str:
    """The test file without the tests that need not pass. ValueError where one that must is inherited from a class
    whose own tests need not."""
    body = _parsed(source)
    names = frozenset(test_names(source))
    inherited = {name for name in names if name not in _written(body)}
    if inherited & wanted:
        raise ValueError(f"{min(inherited & wanted)} is inherited; name no single tests of a file with such")

    def dropped(node: ast.stmt, owner: str = "") -> bool:
        return isinstance(node, _FUNCTIONS) and node.name.startswith("test") and owner + node.name not in wanted

    kept = []
    for node in body:
        if isinstance(node, ast.ClassDef):
            rest: list[ast.stmt] = [one for one in node.body if not dropped(one, f"{node.name}::")] or [ast.Pass()]
            node = copy(node)
            node.body = rest
        if not dropped(node):
            kept.append(node)
    return ast.unparse(ast.fix_missing_locations(ast.Module(body=kept, type_ignores=[])))


def why_tests_need_not_run(source: str) -> str | None:
    """The line with which tests of a file may be passed over, or None."""
    for node in ast.walk(ast.Module(body=_parsed(source), type_ignores=[])):
        name = None
        if isinstance(node, ast.Attribute) and node.attr in _LEFT_OUT and _root(node) in _OF:
            name = node.attr
        elif isinstance(node, ast.ImportFrom) and node.module in ("pytest", "unittest", "unittest.case"):
            name = next((alias.name for alias in node.names if alias.name in _LEFT_OUT), None)
        elif isinstance(node, ast.Import):
            name = next((one.name for one in node.names if one.name in ("pytest", "unittest") and one.asname), None)
        if name is not None:
            return f"line {node.lineno} may pass over tests ({name})"  # type: ignore[attr-defined]
    return next((f"line {line} makes {name} a test on a condition" for line, name in _nested(_parsed(source))), None)


def _nested(body: list[ast.stmt], inside: bool = False) -> Iterator[tuple[int, str]]:
    """Tests in statements that may pass them over or make several of one."""
    for node in body:
        if isinstance(node, _FUNCTIONS):
            if inside and node.name.startswith("test"):
                yield node.lineno, node.name
        elif isinstance(node, ast.ClassDef):
            if inside and node.name.startswith("Test"):
                yield node.lineno, node.name
            yield from _nested(node.body, inside)
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _nested(getattr(node, field, []), True)
            for handler in getattr(node, "handlers", ()):
                yield from _nested(handler.body, True)


def _is_collected(node: ast.ClassDef, classes: dict[str, ast.ClassDef], depth: int = 0) -> bool:
    if _is_unittest(node, classes):
        return True
    made = any(isinstance(one, _FUNCTIONS) and one.name == "__init__" for one in node.body)
    return node.name.startswith("Test") and not made


def _is_unittest(node: ast.ClassDef, classes: dict[str, ast.ClassDef], depth: int = 0) -> bool:
    for base in node.bases:
        name = ast.unparse(base).rpartition(".")[2]
        if name in ("TestCase", "IsolatedAsyncioTestCase"):
            return True
        if (
            name in classes
            and classes[name] is not node
            and depth < 10
            and _is_unittest(classes[name], classes, depth + 1)
        ):
            return True
    return False


def _methods(node: ast.ClassDef, classes: dict[str, ast.ClassDef], depth: int = 0) -> list[str]:
    """The tests of a class, with those of its bases in the file."""
    names = [one.name for one in node.body if isinstance(one, _FUNCTIONS) and one.name.startswith("test")]
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes and classes[base.id] is not node and depth < 10:
            names += [name for name in _methods(classes[base.id], classes, depth + 1) if name not in names]
    return names


def _written(body: list[ast.stmt]) -> frozenset[str]:
    """The names of tests where they stand."""
    found = {node.name for node in body if isinstance(node, _FUNCTIONS)}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if isinstance(one, _FUNCTIONS)}
    return frozenset(found)


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _parsed(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
