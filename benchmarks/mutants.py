"""Programs that are nearly right: mutants of a reference, and what plain execution says of each.

A mutant differs in one place: a constant, an operator, a comparison, an early return, an index off by one, two swapped
arguments, a negated condition, a statement left out. Plain execution is `exec` of program and tests in a child process
under a timer of processor time, with everything Python has: no sandbox, and no code of ponder.
"""

import ast
import copy
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

__all__ = ["mutants", "run_plainly"]

_OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Add,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(source: str, count: int, seed: str) -> list[str]:
    """Up to `count` different mutants of a program, drawn by `seed`."""
    tree = ast.parse(source)
    found = {text for change in _changes(tree) if (text := _changed(tree, change)) is not None}
    found.discard(ast.unparse(tree))
    return random.Random(seed).sample(sorted(found), min(count, len(found)))


Change = tuple[int, Callable[[ast.AST], ast.AST | None]]
"""Number of a node in the order of `ast.walk`, and what to do to it; None leaves out a statement."""


def _changed(tree: ast.Module, change: Change) -> str | None:
    place, mutate = change
    copied = copy.deepcopy(tree)
    target = list(ast.walk(copied))[place]
    for parent in ast.walk(copied):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, mutate(target))
            elif isinstance(value, list) and any(item is target for item in value):
                put = mutate(target)
                at = next(i for i, item in enumerate(value) if item is target)
                value[at : at + 1] = [ast.Pass()] if put is None else [put]
    try:
        text = ast.unparse(ast.fix_missing_locations(copied))
        compile(text, "<mutant>", "exec")
    except (SyntaxError, ValueError, TypeError, AttributeError):
        return None
    return text


def _changes(tree: ast.Module) -> Iterator[Change]:
    for place, node in enumerate(ast.walk(tree)):
        for mutate in _mutations(node):
            yield place, mutate


def _mutations(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST | None]]:
    match node:
        case ast.Constant(value=bool() as value):
            yield lambda _: ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield lambda _: ast.Constant(number + 1)
            yield lambda _: ast.Constant(number - 1)
        case ast.Constant(value=str() as text) if text and "\n" not in text:
            yield lambda _: ast.Constant(text + "x")
        case ast.BinOp(op=operator) if type(operator) in _OPERATORS:
            yield lambda n: _with(n, op=_OPERATORS[type(operator)]())
        case ast.BoolOp(op=operator):
            yield lambda n: _with(n, op=_OPERATORS[type(operator)]())
        case ast.Compare(ops=[operator, *rest]) if type(operator) in _OPERATORS:
            yield lambda n: _with(n, ops=[_OPERATORS[type(operator)](), *rest])
        case ast.If() | ast.While() | ast.IfExp():
            yield lambda n: _with(n, test=ast.UnaryOp(ast.Not(), n.test))  # type: ignore[attr-defined]
        case ast.Return(value=ast.expr() as value):
            yield lambda _: ast.Return(ast.Constant(None))
            yield lambda _: ast.Return(ast.List(elts=[value], ctx=ast.Load()))
        case ast.Subscript(slice=ast.Name() | ast.BinOp() as index):
            yield lambda n: _with(n, slice=ast.BinOp(index, ast.Add(), ast.Constant(1)))
        case ast.Call(args=[first, second, *rest]):
            yield lambda n: _with(n, args=[second, first, *rest])
        case ast.AugAssign() | ast.Assign() | ast.Expr(value=ast.Call()):
            yield lambda _: None
        case ast.For(body=body):
            yield lambda n: _with(n, body=[*body, ast.Break()])


def _with(node: ast.AST, **fields: object) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


_RUNNER = """
import json, os, resource, signal, sys
import numpy  # once, before the forks
job = json.load(sys.stdin)
null = os.open(os.devnull, os.O_WRONLY)
answers = os.dup(1)
os.dup2(null, 1)
os.dup2(null, 2)
for number, source in enumerate(job["programs"]):
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.setitimer(signal.ITIMER_PROF, job["seconds"])
        signal.setitimer(signal.ITIMER_REAL, 10 * job["seconds"])
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        sys.setrecursionlimit(1000)
        status = 1
        try:
            space = {"__name__": "__main__"}
            exec(compile(source, "<program>", "exec"), space)
            status = 0
        except BaseException:
            status = 1
        os._exit(status)
    _, status = os.waitpid(child, 0)
    os.write(answers, b"%d\\n" % (status == 0))
"""


def run_plainly(programs: Sequence[str], seconds: float) -> list[bool]:
    """Whether each program, its tests behind it, runs to its end: executed one after the other, a process each."""
    job = json.dumps({"programs": list(programs), "seconds": seconds})
    done = subprocess.run([sys.executable, "-c", _RUNNER], input=job, capture_output=True, text=True, check=True)
    return [line == "1" for line in done.stdout.split()]
