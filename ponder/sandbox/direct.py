"""Plain asserts, judged right here instead of in a process of their own.

Most tests only call the program and compare what it returns: `assert f(1, 2) == [3]`, or a `check` function full of
such lines. They are taken apart into expressions, and every node is checked: literals, calls of the program and of a
few harmless built-ins, comparisons, sums and differences. Nothing of that can change this process or, with what the
program may return, keep it busy for long. Tests with anything else in them are not direct, nor are those that expect
objects of the program's, or for which it hands one over: NotPlainAnswerError.
"""

import ast
import builtins
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from ponder.sandbox.errors import ProgramRaisedError
from ponder.sandbox.names import expected_objects
from ponder.sandbox.remote import RemoteProgram

__all__ = ["DirectCase", "read_direct", "run_direct"]

_BUILTINS: dict[str, Any] = {
    function.__name__: function
    for function in (
        abs, all, any, bool, dict, float, frozenset, int, isinstance, len, list, max, min, repr, round, set, sorted,
        str, sum, tuple,
    )
}  # fmt: skip
_MATH = frozenset({"isclose", "fabs", "floor", "ceil", "sqrt", "pi", "e", "inf", "nan"})
_EXPRESSIONS = (
    ast.Tuple, ast.List, ast.Set, ast.Dict, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.cmpop, ast.Load,
    ast.UnaryOp, ast.unaryop, ast.keyword, ast.Subscript, ast.Slice,
)  # fmt: skip
_ARITHMETIC = (ast.Add, ast.Sub)
_CONSTANT_ARITHMETIC = (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCase:
    """One assert: the expression that must be true, and the names in it that the program defines."""

    expression: ast.expr
    code: CodeType
    names: frozenset[str]


@lru_cache(maxsize=1024)
def read_direct(tests: tuple[str, ...], prefix: str, entry: str | None) -> tuple[DirectCase, ...] | None:
    """The cases of `tests`, or None where they are not direct: then `judge` runs them."""
    taken = {*_defined(prefix), *(builtins.__dict__.keys() - _BUILTINS.keys())} - {entry}
    cases: list[DirectCase] = []
    called = checked = False
    for test in tests:
        try:
            tree = ast.parse(test)
        except SyntaxError:
            return None
        if expected_objects(tree):
            return None
        for statement in tree.body:
            match statement:
                case ast.Assert(test=expression):
                    cases.append(_case(expression, {}))
                case ast.FunctionDef(name="check", args=ast.arguments(args=[ast.arg(arg=parameter)]), body=body):
                    checked = True
                    if entry is None or not all(map(_is_check_line, body)):
                        return None
                    renamed = {parameter: entry}
                    cases += [_case(line.test, renamed) for line in body if isinstance(line, ast.Assert)]
                case ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[ast.Name(id=name)], keywords=[])):
                    called = True
                    if name != entry:
                        return None
                case ast.Import(names=[ast.alias(name="math", asname=None)]):
                    pass
                case ast.Assign(targets=[ast.Name(id="METADATA")]):
                    pass
                case _:
                    return None
    plain = all(
        case is not None and case.names.isdisjoint(taken) and not case.names <= _BUILTINS.keys() - {entry}
        for case in cases
    )
    return tuple(cases) if cases and plain and (checked or not called) else None


def run_direct(
    cases: tuple[DirectCase, ...], own: frozenset[str], program: RemoteProgram
) -> Iterator[tuple[bool, str]]:
    """Whether each case passes, and why the first that does not. ProgramGoneError when the program does not last."""
    known: dict[str, Any] = {"__builtins__": {}, "math": math, **_BUILTINS}
    for name in sorted({name for case in cases for name in case.names}):
        if name in program.names and (name in own or name not in known):
            with suppress(ProgramRaisedError):  # then it is a name without a value, and its cases fail
                known[name] = program.look(name)
    noted = False
    for case in cases:
        try:
            passed, why = bool(eval(case.code, known)), "is not so"
        except ProgramRaisedError as error:
            passed, why = False, str(error)
        except Exception as error:  # raised by comparing what the program returned
            passed, why = False, f"{type(error).__name__}: {error}"
        yield passed, "" if passed or noted else f"{ast.unparse(case.expression)[:120]} -> {why}"
        noted = noted or not passed


def _case(expression: ast.expr, renamed: dict[str, str]) -> Any:
    """The assert as a case; None if it is not direct."""
    names: set[str] = set()
    if _hides_an_order(expression) or not _is_direct(expression, renamed, names):
        return None
    code = compile(ast.Expression(expression), "<tests>", "eval")
    return DirectCase(expression=expression, code=code, names=frozenset(names) - {"math"})


def _hides_an_order(expression: ast.expr) -> bool:
    """Whether something is put in order where that need not be so: what is not a number would pass `not f(2) > 4`."""
    match expression:
        case ast.BoolOp(values=parts):
            return any(map(_hides_an_order, parts))
        case ast.Compare(left=left, comparators=others):
            parts = [left, *others]
        case _:
            parts = [expression]
    return any(isinstance(node, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for part in parts for node in ast.walk(part))


def _is_check_line(line: ast.stmt) -> bool:
    """An assert, or a docstring."""
    return isinstance(line, ast.Assert | ast.Pass) or (
        isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    )


def _is_direct(node: ast.AST, renamed: dict[str, str], names: set[str]) -> bool:
    """Whether `node` has nothing in it that is not allowed. Gives names their new ones on the way, and notes them."""
    match node:
        case ast.Constant():
            return True
        case ast.Name():
            node.id = renamed.get(node.id, node.id)
            names.add(node.id)
            return not node.id.startswith("_")
        case ast.Call(func=ast.Name(id="sum"), args=[_, _, *_]) | ast.Call(func=ast.Name(id="sum"), keywords=[_, *_]):
            return False  # it adds up anything, in as many steps as that takes
        case ast.Call(func=ast.Name() | ast.Attribute() as function, args=arguments, keywords=named):
            return all(_is_direct(part, renamed, names) for part in (function, *arguments, *named))
        case ast.Attribute(value=ast.Name(id="math"), attr=name):
            names.add("math")
            return name in _MATH
        case ast.BinOp(left=left, op=operator, right=right):
            used: set[str] = set()
            direct = _is_direct(left, renamed, used) and _is_direct(right, renamed, used)
            names |= used
            return direct and isinstance(operator, _ARITHMETIC if used else (*_ARITHMETIC, *_CONSTANT_ARITHMETIC))
        case _:
            return isinstance(node, _EXPRESSIONS) and all(
                _is_direct(part, renamed, names) for part in ast.iter_child_nodes(node)
            )


def _defined(source: str) -> Iterator[str]:
    """Names that `source` binds at its top level, even if its last function has no body yet."""
    for text in (source, f"{source.rstrip()}\n    pass\n"):
        try:
            body = ast.parse(text).body
        except SyntaxError:
            continue
        for statement in body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield statement.name
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                yield from (alias.asname or alias.name for alias in statement.names)
            else:
                yield from (
                    n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
                )
        return
