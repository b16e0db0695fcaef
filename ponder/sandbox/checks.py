"""What test code checks, read from its text: where its cases are, whether any check can be reached, what it asks of
the world.

A check is a statement that raises when the program is wrong: an assert, a call of an `assert...` method, a `with
...raises`, an `if` that raises, a `try` whose failure to raise is a failure. `instrument` makes test code say when a
check was made and when one was swallowed by an `except` around it, so that a file whose checks never ran passes
nothing. Big literals are never walked: expressions hold no statements.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from types import CodeType

__all__ = [
    "ASSERTED", "CASE", "CHECKING", "CHOSEN", "COUNTED", "ENTERED", "LEFT", "NUMBER", "PARAMETERS", "SEEN", "SKIPS",
    "SWALLOWED", "TYPE", "WITHIN", "ZIP", "bound_names", "code_names", "expected_objects", "instrument", "is_worldly",
    "why_nothing_is_checked",
]  # fmt: skip

CASE, SEEN, COUNTED, ENTERED = "__case__", "__seen__", "__counted__", "__entered__"
ASSERTED, NUMBER, SWALLOWED, TYPE = "__asserted__", "__number__", "__swallowed__", "__type__"
WITHIN, LEFT, ZIP = "__within__", "__left__", "__zip__"
CHOSEN, PARAMETERS, SKIPS = "__chosen__", "__parameters__", "__skips__"
"""Names that instrumented code calls; `judge` binds them."""
CHECKING = frozenset({ASSERTED, COUNTED})
"""What the code of a function speaks of that has checks."""
_MARKS = re.compile(rf"{ASSERTED}|{SEEN}|, __block\d+_\d+__(?=:$)|{CHOSEN}\((.*), '[^']*'\)(?=:$)")
_SKIPPING = {"skipif": True, "skipIf": True, "skipUnless": False}
_SAME_ITEMS = frozenset({"enumerate", "iter", "len", "list", "range", "reversed", "set", "sorted", "tuple"})
_SAME_METHODS = frozenset({"copy", "items", "keys", "values"})
_BROAD = frozenset({"Exception", "BaseException", "AssertionError"})
_NUMPY_ASSERTIONS = frozenset({"assert_allclose", "assert_almost_equal", "assert_array_equal", "assert_equal"})
_EXPECTING = re.compile(r"assert|raises$|warns$|deprecated_call$|expect")
_IMPORTS = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+(.+))", re.MULTILINE)
_PURE_MODULES = frozenset({
    "bisect", "cmath", "collections", "decimal", "fractions", "functools", "heapq", "itertools", "json", "math",
    "numpy", "operator", "pytest", "re", "solution", "string", "typing", "unittest",
})  # fmt: skip
_OF_EVERY_FILE = frozenset({"__name__", "__module__", "__qualname__"})
_WORLDLY_NAMES = frozenset({
    "callable", "capfd", "capsys", "delattr", "dir", "eval", "exec", "getattr", "globals", "hasattr", "hash", "id",
    "input", "isinstance", "issubclass", "locals", "memoryview", "mock", "monkeypatch", "open", "patch", "print",
    "setattr", "tmp_path", "tmp_path_factory", "type", "vars", "assertIs", "assertIsNot", "assertIsInstance",
    "assertNotIsInstance", "assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex", "warns",
})  # fmt: skip
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def statements(body: Sequence[ast.stmt], *, into_functions: bool = False) -> Iterator[ast.stmt]:
    """Every statement in `body` and inside its blocks, functions and classes only if asked for."""
    for statement in body:
        yield statement
        if isinstance(statement, _FUNCTIONS | ast.ClassDef) and not into_functions:
            continue
        for block in _blocks(statement):
            yield from statements(block, into_functions=into_functions)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
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


def _is_failure(statement: ast.stmt) -> bool:
    """A statement that always fails: `assert False`, `raise ...`, `self.fail(...)`, `sys.exit(1)`."""
    match statement:
        case ast.Assert(test=ast.Constant(value=value)):
            return not value
        case ast.Raise():
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name))):
            return name in ("fail", "exit", "_exit", "quit")
    return False


def _call_name(expression: ast.expr) -> str:
    if isinstance(expression, ast.Await):
        expression = expression.value
    match expression:
        case ast.Call(func=ast.Attribute(attr=name)):
            return name
        case ast.Call(func=ast.Name(id=name)):
            return name
    return ""


def _is_check(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assert(test=test):
            return not is_constant(test)
        case ast.Expr(value=value):
            return _is_assertion(value)
        case ast.If(test=test, body=body, orelse=orelse):
            return not is_constant(test) and any(map(_is_failure, (*body, *orelse)))
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return _expects(items)
        case ast.Try():
            return _must_raise(statement)
    return False


def _is_assertion(value: ast.expr) -> bool:
    if isinstance(value, ast.Await):
        value = value.value
    match value:
        case ast.Call(func=ast.Attribute(attr=name, value=owner), args=arguments):
            return name.lower().startswith("assert") and not all(map(is_constant, (owner, *arguments)))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return name in _NUMPY_ASSERTIONS and not all(map(is_constant, arguments))
    return False


def _expects(items: list[ast.withitem]) -> bool:
    return any(_EXPECTING.match(_call_name(item.context_expr)) is not None for item in items)


def _must_raise(statement: ast.Try) -> bool:
    """Whether leaving the body without an exception is a failure."""
    return bool(statement.handlers) and any(map(_is_failure, (*statement.body, *statement.orelse)))


def _is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _BROAD) for kind in kinds)


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(name, ast.Load()), args=list(arguments), keywords=[])


def _count() -> ast.stmt:
    return ast.Expr(_call(COUNTED))


def instrument(tree: ast.Module, texts: list[str]) -> None:
    """Make every check report itself and every statement at the top that checks something a case; `texts` gets the
    cases' first lines, and a case's number is its place there."""
    checking = _checking(tree)
    _mark_checks(tree.body, checking, {}, top=True)
    _mark_cases(tree.body, texts, checking)
    _Asked().visit(tree)
    ast.fix_missing_locations(tree)


def _checking(tree: ast.Module) -> set[str]:
    """Functions of the test file that check something, themselves or by calling one that does."""
    functions = [s for s in statements(tree.body) if isinstance(s, _FUNCTIONS)]
    checking = {f.name for f in functions if any(map(_is_check, statements(f.body)))}
    while True:
        more = {f.name for f in functions if any(_uses(s, checking) for s in statements(f.body))} - checking
        if not more:
            return checking
        checking |= more


def _unsuppressed(statement: ast.stmt) -> ast.stmt:
    """`with suppress(...)` around a check, as the `try` that it is."""
    match statement:
        case ast.With(items=[ast.withitem(context_expr=ast.Call(args=kinds) as call)], body=body):
            if _call_name(call) == "suppress" and any(map(_is_check, statements(body))):
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
        checks = _is_check(statement)
        match statement:
            case ast.Assert() if checks:
                statement.test = _call(ASSERTED, statement.test)
            case ast.If() if checks:
                statement.test = _call(SEEN, statement.test)
            case ast.Expr() | ast.With() | ast.AsyncWith() if checks:
                after = [_count()]
            case ast.With() | ast.AsyncWith() if _may_swallow(statement, checking):
                name = f"__block{place}_{statement.lineno}__"
                named = ast.Assign(targets=[ast.Name(name, ast.Store())], value=_call(WITHIN))
                before = [ast.copy_location(named, statement)]
                statement.items.append(ast.withitem(context_expr=ast.Name(name, ast.Load())))
                after = [ast.Expr(_call(LEFT, ast.Name(name, ast.Load())))]
            case ast.For() if any(_is_check(s) or _uses(s, checking) for s in statements(statement.body)):
                statement.iter = _call(CHOSEN, statement.iter, ast.Constant(_source(statement.iter, held)))
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                held[name] = _source(value, held)
            case ast.Try():
                _mark_handlers(statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                if (top and statement.name in checking) or any(map(_is_check, statements(statement.body))):
                    entered = ast.Expr(_call(ENTERED, ast.Constant(statement.name if top else "")))
                    statement.body.insert(int(ast.get_docstring(statement) is not None), entered)
        inside = isinstance(statement, _FUNCTIONS | ast.ClassDef)
        for block in _blocks(statement):
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
    if any(_call_name(item.context_expr) == "subTest" for item in statement.items):
        return False
    return any(_is_check(s) or _uses(s, checking) for s in statements(statement.body))


def _mark_handlers(statement: ast.Try) -> None:
    inside = list(statements(statement.body))
    checks = any(map(_is_check, inside))
    failures = any(map(_is_failure, (*inside, *statement.orelse)))
    for handler in statement.handlers:
        goes_on = not any(_is_check(s) or _is_failure(s) for s in statements(handler.body))
        if _is_broad(handler) and goes_on and (checks or failures):
            handler.body.insert(0, ast.Expr(_call(SWALLOWED, ast.Constant(checks))))
        elif failures:
            handler.body.insert(0, _count())


def _mark_cases(body: list[ast.stmt], texts: list[str], checking: set[str]) -> None:
    for place, statement in enumerate(body):
        if isinstance(statement, _FUNCTIONS):
            if statement.name == "check":
                _mark_cases(statement.body, texts, checking)
        elif not isinstance(statement, ast.ClassDef) and _is_case(statement, checking):
            body[place] = _case(statement, texts)


def _is_case(statement: ast.stmt, checking: set[str]) -> bool:
    inside = list(statements([statement]))
    if any(_reports(s) for s in inside):
        return True
    return any(_uses(s, checking - {"check"}) for s in inside)


def _reports(statement: ast.stmt) -> bool:
    """A check that is marked already."""
    match statement:
        case ast.Assert(test=ast.Call(func=ast.Name(id=name))) | ast.If(test=ast.Call(func=ast.Name(id=name))):
            return name in (ASSERTED, SEEN)
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return name in (COUNTED, SWALLOWED)
        case ast.Expr(value=value):
            return _is_assertion(value)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return _expects(items)
        case _:
            return _is_failure(statement)


def _uses(statement: ast.stmt, checking: set[str]) -> bool:
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
        name = _call_name(node)
        if name == "parametrize" and len(node.args) > 1:
            node.args[1] = _call(PARAMETERS, node.args[1], ast.Constant(_source(node.args[1], {})))
        elif name in _SKIPPING and node.args:
            spoken = (_source(part, {}) for part in ast.walk(node.args[0]) if isinstance(part, ast.expr))
            names = [ast.Constant(source) for source in sorted(set(spoken) - {""})]
            node.args[0] = _call(SKIPS, node.args[0], ast.Constant(_SKIPPING[name]), *names)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """What is put in order says so: every order with what is not a number is false, and no `if` sees it."""
        self.generic_visit(node)
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


def bound_names(tree: ast.Module) -> set[str]:
    """Names that the test file itself gives a meaning at its top level, by other ways than `from solution import`."""
    bound: set[str] = set()
    for statement in statements(tree.body):
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ImportFrom(module="solution"):
                pass
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
            case ast.Assign(targets=targets):
                bound |= {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)}
            case ast.AnnAssign(target=target) | ast.For(target=target):
                bound |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return bound


def expected_objects(tree: ast.Module) -> set[str]:
    """Names, as of classes, that the test file calls for what it expects: `f(x) == [Item(1)]`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
                sides = (left, right)
            case ast.Call(func=ast.Attribute(attr="assertEqual" | "assertCountEqual"), args=[left, right, *_]):
                sides = (left, right)
            case _:
                continue
        if not any(map(is_constant, sides)):
            called = (_call_name(part) for part in ast.walk(sides[1]) if isinstance(part, ast.Call))
            found |= {name for name in called if name[:1].isupper()}
    return found


def code_names(code: CodeType) -> Iterator[str]:
    """Every name that the code and the functions in it speak of."""
    yield from code.co_names
    yield from code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_names(constant)


def is_worldly(tests: Sequence[str]) -> bool:
    """Whether the tests may ask for more than values: output, files, the clock, classes. Too often is harmless."""
    for test in tests:
        for source, names in _IMPORTS.findall(test):
            modules = [source] if source else [name.partition(" as ")[0].strip() for name in names.split(",")]
            if any(module.partition(".")[0] not in _PURE_MODULES or ".mock" in module for module in modules):
                return True
        try:
            code = compile(test, "<tests>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return True
        if any(name in _WORLDLY_NAMES or name.startswith("__") for name in {*code_names(code)} - _OF_EVERY_FILE):
            return True
    return False


def why_nothing_is_checked(tests: Sequence[str]) -> str | None:
    """Why no check of these tests can ever run, or None: they do not compile, or nothing that runs checks anything."""
    names: set[str] = set()
    functions: list[tuple[str, list[ast.stmt]]] = []
    for number, test in enumerate(tests, 1):
        try:
            tree = ast.parse(test)
            compile(test, "<tests>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"test {number} does not compile: {str(error)[:200]}"
        if any(map(_is_check, statements(tree.body))):
            return None
        run = [s for s in tree.body if not isinstance(s, _FUNCTIONS | ast.ClassDef)]
        names |= _spoken(run)
        for statement in tree.body:
            if isinstance(statement, _FUNCTIONS):
                functions.append((statement.name, statement.body))
            elif isinstance(statement, ast.ClassDef):
                if any(map(_is_check, statements([statement], into_functions=True))):
                    return None
                names |= _spoken(statement.body)
    reached = [True]
    known = {name for name, _ in functions if name.startswith("test") or name == "check"} | names
    seen: set[int] = set()
    while reached:
        reached = []
        for place, (name, body) in enumerate(functions):
            if place not in seen and name in known:
                seen.add(place)
                reached.append(True)
                known |= _spoken(body)
                if any(map(_is_check, statements(body, into_functions=True))):
                    return None
    return "the tests check nothing: no assert, raising check or test method is ever reached"


def _spoken(body: list[ast.stmt]) -> set[str]:
    wrapped = ast.Module(body=body, type_ignores=[])
    try:
        return set(code_names(compile(wrapped, "<tests>", "exec", dont_inherit=True)))
    except SyntaxError:  # a function's body by itself: return, await
        return {n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)}
