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
_OF_ONE = frozenset({"assertTrue", "assertFalse", "assertIsNone", "assertIsNotNone", "assert_"})
_EQUALITIES = frozenset({"assertEqual", "assertEquals", "assertIs", "assertLessEqual", "assertGreaterEqual"})
_RUNNERS = frozenset({"self", "cls", "case", "tc", "np", "numpy", "testing"})
"""What is usually asked for assertions, and is nothing that is compared."""
_EXITS = frozenset({"exit", "_exit", "quit"})
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
    """A statement that always fails: `assert False`, `raise ...`, `self.fail(...)`, `sys.exit(1)`. What is computed
    for an exit may be the status of success."""
    match statement:
        case ast.Assert(test=ast.Constant(value=value)):
            return not value
        case ast.Raise():
            return True
        case ast.Expr(value=ast.Call(args=[ast.Constant(value=status)]) as call) if call_name(call) in _EXITS:
            return status not in (None, 0)
        case ast.Expr(value=ast.Call() as call):
            return call_name(call) == "fail"
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


def _is_certain(test: ast.expr) -> bool:
    """Whether a test is true whatever the program does: a lambda, a tuple with a message in it, a value equal to
    itself."""
    match test:
        case ast.Lambda() | ast.GeneratorExp() | ast.List(elts=[_, *_]) | ast.Tuple(elts=[_, *_]):
            return True
        case ast.Set() | ast.Dict(keys=[_, *_]) | ast.JoinedStr(values=[ast.Constant(), *_]):
            return True
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_is_certain(part) and (not is_constant(part) or _is_true(part)) for part in values)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_is_certain(part) or is_constant(part) for part in values)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()], comparators=[right]) if (
            _is_one_value(left, right)
        ):
            return True
    return is_constant(test)


def _is_true(constant: ast.expr) -> bool:
    return isinstance(constant, ast.Constant) and bool(constant.value)


def _is_one_value(left: ast.expr, right: ast.expr) -> bool:
    """The same value twice. What is called twice may differ."""
    return not any(isinstance(node, ast.Call) for node in ast.walk(left)) and ast.dump(left) == ast.dump(right)


def is_check(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=test):
            return not _is_certain(test)
        case ast.Expr(value=value):
            return is_assertion(value)
        case ast.If(test=test, body=body, orelse=orelse):
            return not is_constant(test) and any(map(is_failure, (*body, *orelse)))
        case ast.Match(subject=subject, cases=cases):
            return not is_constant(subject) and any(is_failure(s) for case in cases for s in case.body)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return expects(items)
        case ast.Try():
            return _must_raise(statement)
    return False


def is_assertion(value: ast.expr) -> bool:
    if isinstance(value, ast.Await):
        value = value.value
    match value:
        case ast.Call(func=ast.Attribute(attr=name, value=owner), args=arguments, keywords=named):
            speaks = not (isinstance(owner, ast.Name) and owner.id in _RUNNERS) or _may_fail(name, arguments, named)
            return name.lower().startswith("assert") and speaks
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=named):
            return name in _NUMPY_ASSERTIONS and _may_fail(name, arguments, named)
    return False


def _may_fail(name: str, arguments: list[ast.expr], named: list[ast.keyword]) -> bool:
    """Whether what an assertion compares is more than constants, or one value with itself. Messages do not count."""
    if any(keyword.arg != "msg" for keyword in named):
        return True
    match arguments[: 1 if name in _OF_ONE else 2]:
        case [ast.Starred(), *_] | []:
            return True
        case [left, right] if name in _EQUALITIES:
            return not (_is_one_value(left, right) or (is_constant(left) and is_constant(right)))
        case [test] if name == "assertTrue":
            return not _is_certain(test)
        case compared:
            return not all(map(is_constant, compared))


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
