"""Names in test code: those it gives a meaning itself, those it speaks of, those it expects objects of."""

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType

from ponder.sandbox.checks import call_name, is_constant, statements

__all__ = [
    "bound_names", "code_names", "expected_objects", "lent_imports", "takes_every_name", "undefined_names",
]  # fmt: skip

_OF_A_MODULE = ("__name__", "__file__", "__doc__", "__builtins__")


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


def lent_imports(tests: tuple[str, ...], program: str) -> str:
    """What tests that stand behind the program in one file import from the standard library, and the program speaks of:
    there it has these names, too, when it is called."""
    lent = (
        line
        for line, names in _standard_imports(tests)
        if any(name == "*" or re.search(rf"\b{name}\b", program) for name in names)
    )
    return "".join(f"{line}\n" for line in lent)


@lru_cache(maxsize=256)
def _standard_imports(tests: tuple[str, ...]) -> tuple[tuple[str, frozenset[str]], ...]:
    """Each import of the standard library, as a line, with the names that it binds."""
    found = []
    for test in tests:
        for statement in ast.parse(test).body if "import" in test else ():
            match statement:
                case ast.Import(names=aliases):
                    modules = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str() as module, names=aliases) if module != "__future__":
                    modules = [module]
                case _:
                    continue
            if all(module.partition(".")[0] in sys.stdlib_module_names for module in modules):
                names = frozenset(alias.asname or alias.name.partition(".")[0] for alias in aliases)
                found.append((ast.unparse(statement), names))
    return tuple(found)


@lru_cache(maxsize=256)
def undefined_names(tests: tuple[str, ...]) -> frozenset[str]:
    """Names that the tests speak of and nothing in them defines, the program's among them; none where they may be
    defined in ways that their text does not show."""
    spoken: set[str] = set()
    defined: set[str] = set(_OF_A_MODULE)
    for test in tests:
        for node in ast.walk(ast.parse(test)):
            match node:
                case ast.Name(id="exec" | "globals" | "setattr" | "vars"):
                    return frozenset()
                case ast.ImportFrom(module=module, names=[ast.alias(name="*")]) if module != "solution":
                    return frozenset()
                case ast.Name(id=name, ctx=ast.Load()):
                    spoken.add(name)
                case ast.Name(id=name) | ast.arg(arg=name) | ast.MatchAs(name=str() as name):
                    defined.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    defined.add(name)
                case ast.ExceptHandler(name=str() as name) | ast.MatchStar(name=str() as name):
                    defined.add(name)
                case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                    defined |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    return frozenset(spoken - defined - builtins.__dict__.keys())


def takes_every_name(tests: tuple[str, ...]) -> bool:
    """Whether a test file has every name of the program without saying which: by a star."""
    return any(re.search(r"^\s*from\s+solution\s+import\s+\*", test, re.MULTILINE) for test in tests)


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
            called = (call_name(part) for part in ast.walk(sides[1]) if isinstance(part, ast.Call))
            found |= {name for name in called if name[:1].isupper()}
    return found


def code_names(code: CodeType) -> Iterator[str]:
    """Every name that the code and the functions in it speak of."""
    yield from code.co_names
    yield from code.co_varnames
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_names(constant)
