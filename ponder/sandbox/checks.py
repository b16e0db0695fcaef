"""What a check is: a statement that raises when the program is wrong.

That is an assert, a call of an `assert...` method, a `with ...raises`, an `if` that raises, a `try` whose failure to
raise is a failure. Big literals are never walked: expressions hold no statements.
"""

import ast
import re
from collections.abc import Iterator, Sequence

__all__ = [
    "FUNCTIONS", "blocks", "call_name", "checking_functions", "expects", "is_assertion", "is_broad", "is_check",
    "is_constant", "is_failure", "statements", "uses",
]  # fmt: skip

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_BROAD = frozenset({"Exception", "BaseException", "AssertionError"})
_NUMPY_ASSERTIONS = frozenset({"assert_allclose", "assert_almost_equal", "assert_array_equal", "assert_equal"})
_EXPECTING = re.compile(r"assert|raises$|warns$|deprecated_call$|expect")


def statements(body: Sequence[ast.stmt], *, into_functions: bool = False) -> Iterator[ast.stmt]:
    """Every statement in `body` and inside its blocks, functions and classes only if asked for."""
    for statement in body:
        yield statement
        if isinstance(statement, FUNCTIONS | ast.ClassDef) and not into_functions:
            continue
        for block in blocks(statement):
            yield from statements(block, into_functions=into_functions)


def blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    match statement:
        case ast.Try() | ast.TryStar():
            yield statement.body
            yield from (handler.body for handler in statement.handlers)
            yield statement.orelse
            yield statement.finalbody
        case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
            yield statement.body
            yield statement.orelse
        case ast.With() | ast.AsyncWith() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield statement.body
        case ast.Match():
            yield from (case.body for case in statement.cases)


def is_constant(expression: ast.expr) -> bool:
    """Whether nothing in the expression has a name: it says nothing about anything."""
    return not any(isinstance(node, ast.Name) for node in ast.walk(expression))


def is_failure(statement: ast.stmt) -> bool:
    """A statement that always fails: `assert False`, `raise ...`, `self.fail(...)`, `sys.exit(1)`."""
    match statement:
        case ast.Assert(test=ast.Constant(value=value)):
            return not value
        case ast.Raise():
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name))):
            return name in ("fail", "exit", "_exit", "quit")
    return False


def call_name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Await):
        expression = expression.value
    match expression:
        case ast.Call(func=ast.Attribute(attr=name)):
            return name
        case ast.Call(func=ast.Name(id=name)):
            return name
    return ""


def is_check(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=test):
            return not is_constant(test)
        case ast.Expr(value=value):
            return is_assertion(value)
        case ast.If(test=test, body=body, orelse=orelse):
            return not is_constant(test) and any(map(is_failure, (*body, *orelse)))
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return expects(items)
        case ast.Try():
            return _must_raise(statement)
    return False


def is_assertion(value: ast.expr) -> bool:
    if isinstance(value, ast.Await):
        value = value.value
    match value:
        case ast.Call(func=ast.Attribute(attr=name, value=owner), args=arguments):
            return name.lower().startswith("assert") and not all(map(is_constant, (owner, *arguments)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return name in _NUMPY_ASSERTIONS and not all(map(is_constant, arguments))
    return False


def expects(items: list[ast.withitem]) -> bool:
    return any(_EXPECTING.match(call_name(item.context_expr)) is not None for item in items)


def _must_raise(statement: ast.Try) -> bool:
    """Whether leaving the body without an exception is a failure."""
    return bool(statement.handlers) and any(map(is_failure, (*statement.body, *statement.orelse)))


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)


def checking_functions(tree: ast.Module) -> set[str]:
    """Functions of the test file that check something, themselves or by calling one that does."""
    functions = [s for s in statements(tree.body) if isinstance(s, FUNCTIONS)]
    checking = {f.name for f in functions if any(map(is_check, statements(f.body)))}
    while True:
        more = {f.name for f in functions if any(uses(s, checking) for s in statements(f.body))} - checking
        if not more:
            return checking
        checking |= more


def uses(statement: ast.stmt, checking: set[str]) -> bool:
    """Whether a statement calls one of these functions, by itself or through another call."""
    match statement:
        case ast.Expr(value=value) | ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return _calls(value, checking)
    return False


def _calls(value: ast.expr, checking: set[str]) -> bool:
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return False
    names = {part.id for part in (value.func, *value.args) if isinstance(part, ast.Name)}
    return bool(names & checking) or any(_calls(argument, checking) for argument in value.args)
