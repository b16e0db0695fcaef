"""Whether any check of a test file can be reached: else it judges nothing, and is left out before training."""

import ast
import warnings
from collections.abc import Sequence

from ponder.sandbox.checks import FUNCTIONS, is_check, statements
from ponder.sandbox.names import code_names

__all__ = ["why_nothing_is_checked"]

_CALLED = frozenset({"check", "setup_module", "teardown_module", "setup_function", "teardown_function"})


def why_nothing_is_checked(tests: Sequence[str]) -> str | None:
    """Why no check of these tests can ever run, or None: they do not compile, or nothing that runs checks anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of tests that somebody else wrote
        return _why_nothing(tests)


def _why_nothing(tests: Sequence[str]) -> str | None:
    names: set[str] = set()
    functions: list[tuple[str, list[ast.stmt]]] = []
    for number, test in enumerate(tests, 1):
        try:
            tree = ast.parse(test)
            compile(test, "<tests>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"test {number} does not compile: {str(error)[:200]}"
        if any(map(is_check, statements(tree.body))):
            return None
        run = [s for s in tree.body if not isinstance(s, FUNCTIONS | ast.ClassDef)]
        names |= _spoken(run)
        for statement in tree.body:
            if isinstance(statement, FUNCTIONS):
                functions.append((statement.name, statement.body))
                names |= {statement.name} if _is_fixture(statement) else set()
            elif isinstance(statement, ast.ClassDef):
                if any(map(is_check, statements([statement], into_functions=True))):
                    return None
                names |= _spoken(statement.body)
    reached = [True]
    known = {name for name, _ in functions if name.startswith("test") or name in _CALLED} | names
    seen: set[int] = set()
    while reached:
        reached = []
        for place, (name, body) in enumerate(functions):
            if place not in seen and name in known:
                seen.add(place)
                reached.append(True)
                known |= _spoken(body)
                if any(map(is_check, statements(body, into_functions=True))):
                    return None
    return "the tests check nothing: no assert, raising check or test method is ever reached"


def _is_fixture(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether pytest may run it for a test that names it."""
    marks = (mark.func if isinstance(mark, ast.Call) else mark for mark in function.decorator_list)
    return any("fixture" in (mark.attr if isinstance(mark, ast.Attribute) else ast.unparse(mark)) for mark in marks)


def _spoken(body: list[ast.stmt]) -> set[str]:
    wrapped = ast.Module(body=body, type_ignores=[])
    try:
        return set(code_names(compile(wrapped, "<tests>", "exec", dont_inherit=True)))
    except SyntaxError:  # a function's body by itself: return, await
        return {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)}
