"""Test code made to say when it checks: every check reports itself, every statement that checks is a case.

So a file whose checks never ran passes nothing, and a failed check has failed whoever passes over it: an `except`
around it, or a context manager of the program.
"""

import ast
import re

from ponder.sandbox.checks import (
    FUNCTIONS,
    blocks,
    call_name,
    checking_functions,
    expects,
    is_assertion,
    is_broad,
    is_check,
    is_constant,
    is_failure,
    statements,
    uses,
)

__all__ = [
    "ASSERTED", "CASE", "CHECKING", "CHOSEN", "COUNTED", "ENTERED", "EXPECTED", "LEFT", "MATCHED", "NUMBER",
    "PARAMETERS", "READ", "SEEN", "SKIPS", "SWALLOWED", "TYPE", "WITHIN", "ZIP", "instrument",
]  # fmt: skip

CASE, SEEN, COUNTED, ENTERED = "__case__", "__seen__", "__counted__", "__entered__"
ASSERTED, NUMBER, SWALLOWED, TYPE = "__asserted__", "__number__", "__swallowed__", "__type__"
MATCHED, READ = "__matched__", "__read__"
WITHIN, LEFT, EXPECTED, ZIP = "__within__", "__left__", "__expected__", "__zip__"
CHOSEN, PARAMETERS, SKIPS = "__chosen__", "__parameters__", "__skips__"
"""Names that instrumented code calls; `probes` binds them."""
CHECKING = frozenset({ASSERTED, COUNTED, EXPECTED})
"""What the code of a function speaks of that has checks."""
_MARKS = re.compile(rf"{ASSERTED}|{SEEN}|{MATCHED}|, __block\d+_\d+__(?=:$)|{CHOSEN}\((.*), '[^']*'\)(?=:$)")
_SKIPPING = {"skipif": True, "skipIf": True, "skipUnless": False}
_SAME_ITEMS = frozenset({"enumerate", "iter", "len", "list", "range", "reversed", "set", "sorted", "tuple"})
_EQUALITIES = frozenset({"assertEqual", "assertCountEqual", "assertListEqual", "assertDictEqual", "assertSetEqual"})
_SAME_METHODS = frozenset({"copy", "items", "keys", "values"})


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(name, ast.Load()), args=list(arguments), keywords=[])


def _count() -> ast.stmt:
    return ast.Expr(_call(COUNTED))


def instrument(tree: ast.Module, texts: list[str]) -> None:
    """Make every check report itself and every statement at the top that checks something a case; `texts` gets the
    cases' first lines, and a case's number is its place there."""
    checking = checking_functions(tree)
    _mark_checks(tree.body, checking, {}, top=True)
    _mark_cases(tree.body, texts, checking)
    _Asked().visit(tree)
    ast.fix_missing_locations(tree)


def _unsuppressed(statement: ast.stmt) -> ast.stmt:
    """`with suppress(...)` around a check, as the `try` that it is."""
    match statement:
        case ast.With(items=[ast.withitem(context_expr=ast.Call(args=kinds) as call)], body=body):
            if call_name(call) == "suppress" and any(map(is_check, statements(body))):
                kind = ast.Tuple(elts=kinds, ctx=ast.Load())
                handler = ast.ExceptHandler(type=kind, name=None, body=[ast.Pass()])
                return ast.Try(body=body, handlers=[handler], orelse=[], finalbody=[])
    return statement


def _mark_checks(body: list[ast.stmt], checking: set[str], held: dict[str, str], *, top: bool) -> None:
    """`held` has for names of the tests whose value they hold."""
    marked: list[ast.stmt] = []
    for place, statement in enumerate(map(_unsuppressed, body)):
        before: list[ast.stmt] = []
        after: list[ast.stmt] = []
        checks = is_check(statement)
        match statement:
            case ast.Assert() if checks:
                statement.test = _call(ASSERTED, statement.test)
            case ast.If() if checks:
                statement.test = _call(SEEN, statement.test)
            case ast.Match() if checks:
                statement.subject = _call(MATCHED, statement.subject)
            case ast.Expr() if checks:
                after = [_count()]
            case ast.With() | ast.AsyncWith() if checks or _may_swallow(statement, checking):
                name = f"__block{place}_{statement.lineno}__"
                named = ast.Assign(targets=[ast.Name(name, ast.Store())], value=_call(WITHIN))
                before = [ast.copy_location(named, statement)]
                statement.items.append(ast.withitem(context_expr=ast.Name(name, ast.Load())))
                after = [ast.Expr(_call(EXPECTED if checks else LEFT, ast.Name(name, ast.Load())))]
            case ast.For() if any(is_check(s) or uses(s, checking) for s in statements(statement.body)):
                statement.iter = _call(CHOSEN, statement.iter, ast.Constant(_source(statement.iter, held)))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                held[name] = _source(value, held)
            case ast.Try():
                _mark_handlers(statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if (top and statement.name in checking) or any(map(is_check, statements(statement.body))):
                    entered = ast.Expr(_call(ENTERED, ast.Constant(statement.name if top else "")))
                    statement.body.insert(int(ast.get_docstring(statement) is not None), entered)
        inside = isinstance(statement, FUNCTIONS | ast.ClassDef)
        for block in blocks(statement):
            _mark_checks(block, checking, {} if inside else held, top=top and not inside)
        whole = [*before, statement, *after]
        marked.append(ast.If(test=ast.Constant(True), body=whole, orelse=[]) if after else statement)
    body[:] = marked


def _source(value: ast.expr, held: dict[str, str]) -> str:
    """Whose items those of `value` are: a name, or one of a module; nothing where the test file spells them out."""
    match value:
        case ast.Name(id=name):
            return held.get(name, name)
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            return f"{owner}.{name}"
        case ast.BoolOp(values=[first, *_]) | ast.Subscript(value=first) | ast.Attribute(value=first):
            return _source(first, held)
        case ast.Call(func=ast.Name(id=name), args=[*_, last]) if name in _SAME_ITEMS:
            return _source(last if name == "range" else value.args[0], held)
        case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _SAME_METHODS:
            return _source(owner, held)
        case ast.Call(func=function):
            return _source(function, held)
    return ""


def _may_swallow(statement: ast.With | ast.AsyncWith, checking: set[str]) -> bool:
    """A block with checks whose context manager nobody expects to catch anything. `subTest` reports what it catches."""
    if any(call_name(item.context_expr) == "subTest" for item in statement.items):
        return False
    return any(is_check(s) or uses(s, checking) for s in statements(statement.body))


def _mark_handlers(statement: ast.Try) -> None:
    inside = list(statements(statement.body))
    checks = any(map(is_check, inside))
    failures = any(map(is_failure, (*inside, *statement.orelse)))
    for handler in statement.handlers:
        goes_on = not any(is_check(s) or is_failure(s) for s in statements(handler.body))
        if is_broad(handler) and goes_on and (checks or failures):
            handler.body.insert(0, ast.Expr(_call(SWALLOWED, ast.Constant(checks))))
        elif failures:
            handler.body.insert(0, _count())


def _mark_cases(body: list[ast.stmt], texts: list[str], checking: set[str]) -> None:
    for place, statement in enumerate(body):
        if isinstance(statement, FUNCTIONS):
            if statement.name == "check":
                _mark_cases(statement.body, texts, checking)
        elif not isinstance(statement, ast.ClassDef) and _is_case(statement, checking):
            body[place] = _case(statement, texts)


def _is_case(statement: ast.stmt, checking: set[str]) -> bool:
    inside = list(statements([statement]))
    if any(_reports(s) for s in inside):
        return True
    return any(uses(s, checking - {"check"}) for s in inside)


def _reports(statement: ast.stmt) -> bool:
    """A check that is marked already."""
    match statement:
        case ast.Assert(test=ast.Call(func=ast.Name(id=name))) | ast.If(test=ast.Call(func=ast.Name(id=name))):
            return name in (ASSERTED, SEEN)
        case ast.Match(subject=ast.Call(func=ast.Name(id=name))):
            return name == MATCHED
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return name in (COUNTED, SWALLOWED, EXPECTED)
        case ast.Expr(value=value):
            return is_assertion(value)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return expects(items)
        case _:
            return is_failure(statement)


def _case(statement: ast.stmt, texts: list[str]) -> ast.stmt:
    number = len(texts)
    shown = statement
    if isinstance(statement, ast.If) and isinstance(statement.test, ast.Constant) and len(statement.body) > 1:
        shown = statement.body[-2]  # it was given marks before and after
    texts.append(_MARKS.sub(r"\1", ast.unparse(shown).partition("\n")[0])[:120])
    call = _call(CASE, ast.Constant(number))
    return ast.With(items=[ast.withitem(context_expr=call)], body=[statement])


class _Asked(ast.NodeTransformer):
    """`type(x)` and `x.__class__` ask for the class that the program's object has, not for that of its stand-in."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Name(id="type") as function, args=[_], keywords=[]):
                function.id = TYPE
            case ast.Call(func=ast.Name(id="zip") as function, args=[_, _, *_], keywords=[]):
                if not any(isinstance(argument, ast.Subscript | ast.Starred) for argument in node.args):
                    function.id = ZIP  # a list beside its own rest ends where it should
        name = call_name(node)
        if name in _EQUALITIES and len(node.args) > 1:
            node.args[:2] = _read(*node.args[:2])
        if name == "parametrize" and len(node.args) > 1:
            node.args[1] = _call(PARAMETERS, node.args[1], ast.Constant(_source(node.args[1], {})))
        elif name in _SKIPPING and node.args:
            spoken = (_source(part, {}) for part in ast.walk(node.args[0]) if isinstance(part, ast.expr))
            names = [ast.Constant(source) for source in sorted(set(spoken) - {""})]
            node.args[0] = _call(SKIPS, node.args[0], ast.Constant(_SKIPPING[name]), *names)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """What is put in order says so: every order with what is not a number is false, and no `if` sees it. What two
        sides are read from says so: the program may have emptied it."""
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
            node.left, node.comparators[0] = _read(node.left, node.comparators[0])
        if any(isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for operator in node.ops):
            sides: list[ast.expr] = [
                side if isinstance(side, ast.Constant) else _call(NUMBER, side)
                for side in (node.left, *node.comparators)
            ]
            node.left, node.comparators = sides[0], sides[1:]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return _call(TYPE, node.value) if node.attr == "__class__" and isinstance(node.ctx, ast.Load) else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return node if isinstance(node.value, ast.List | ast.Tuple | ast.Dict) else self.generic_visit(node)


def _read(one: ast.expr, other: ast.expr) -> tuple[ast.expr, ast.expr]:
    """Two sides that are compared and both speak of something, with each name that they read."""
    if is_constant(one) or is_constant(other):
        return one, other
    return _Reading().visit(one), _Reading().visit(other)


class _Reading(ast.NodeTransformer):
    """Tells which names are read, and which of them to compute something: `sorted(xs)`, not `xs`."""

    computed = False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What is called is not read."""
        if not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        outside, self.computed = self.computed, True
        node.args = [self.visit(argument) for argument in node.args]
        self.computed = outside
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        return _call(READ, node, ast.Constant(True)) if self.computed else _call(READ, node)
