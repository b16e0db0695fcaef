"""The tests' process: run test code the program never touches, against stand-ins for the program.

The verdict goes down a pipe that only this process and the caller hold, one JSON line each: [secret, what, value,
note]. `what` is a case's number with whether it passed, "total" with the number of cases, "fault" for what raised
outside of every case, "doubt" for why the verdict needs a second look, "unsure" and "excuse" for why a right or a wrong
one must not be believed, and last "done" with the number of checks made, "gone" where the program ended, or "failed"
where the tests cannot be run. No last line means that the verdict is not in.

`judge_together` runs the same tests the plain way, in one process with the program. What it says could be forged, so it
only ever takes back a verdict: see `runs`.
"""

import ast
import builtins
import importlib
import json
import random
import sys
import types
from collections import Counter
from collections.abc import Callable
from typing import Any

from ponder.sandbox import processes
from ponder.sandbox.channel import Channel
from ponder.sandbox.errors import NotJudgeableError, ProgramGoneError
from ponder.sandbox.instrument import CASE, instrument
from ponder.sandbox.ledger import Case, Ledger, guard
from ponder.sandbox.names import bound_names, code_names, expected_objects
from ponder.sandbox.probes import test_module
from ponder.sandbox.program import LocalProgram, Program
from ponder.sandbox.remote import RemoteProgram
from ponder.sandbox.serve import run_module
from ponder.sandbox.suite import run_collected
from ponder.sandbox.world import Surroundings

__all__ = ["judge_program", "judge_together"]

_JOB, _CHANNEL = 3, 5
_SOURCE_AND_JOB = 5
_STATELESS = frozenset({
    "bisect", "cmath", "collections", "copy", "fractions", "functools", "heapq", "itertools", "json", "math",
    "operator", "re", "statistics", "string",
})  # fmt: skip
"""Modules that are the same in the program's process and in that of its tests."""


def judge_program() -> int:
    """Role: read the job, run its tests, write the verdict."""
    job = _job(_JOB)
    ledger = Ledger(job["secret"])
    processes.watch()
    try:
        classes = job["classes"]
        known = None if classes is None else {name: frozenset(methods) for name, methods in classes.items()}
        surroundings = Surroundings() if job["worldly"] else None
        program = RemoteProgram(Channel(_CHANNEL), known, _world(surroundings))
        if program.failure:
            program.check_failure()
            ledger.write("gone", False, f"the program failed: {program.failure}")
            return 0
        if surroundings is not None:
            program.before = surroundings.changes
        for name in (known or {}).keys() & program.names:
            program.look(name)
        _run(job, program, ledger)
    except ProgramGoneError as error:
        ledger.write("gone", False, f"the program ended before its tests were done ({error})")
    except (NotJudgeableError, SyntaxError) as error:
        ledger.write("failed", False, f"the tests cannot be run: {error}")
    return 0


def judge_together() -> int:
    """Role: run the program (3), then the tests of the job (5), in this one process."""
    job = _job(_SOURCE_AND_JOB)
    ledger = Ledger(job["secret"])
    processes.watch()
    random.seed(0)
    try:
        _run(job, LocalProgram(run_module("solution")), ledger)
    except (NotJudgeableError, SyntaxError) as error:
        ledger.write("failed", False, f"the tests cannot be run: {error}")
    return 0


def _job(descriptor: int) -> dict[str, Any]:
    with open(descriptor, "rb") as stream:
        job: dict[str, Any] = json.loads(stream.read())
    return job


def _world(surroundings: Surroundings | None) -> dict[str, Callable[..., Any]]:
    """What the program asks of the tests' world: what they replaced is what it gets."""
    if surroundings is None:
        return {}
    return {
        "input": lambda prompt="": builtins.input(prompt),
        "readline": lambda: sys.stdin.readline(),
        "read": lambda: sys.stdin.read(),
        "stdout": lambda text: sys.stdout.write(text),
        "stderr": lambda text: sys.stderr.write(text),
        "files": surroundings.take,
    }


def _run(job: dict[str, Any], program: Program, ledger: Ledger) -> None:
    """The test code as its own runner would have it: its statements, then what they define as tests."""
    ledger.program, ledger.undefined = program, frozenset(job["undefined"])
    trees = [ast.parse(test) for test in job["tests"]]
    bound: set[str] = set().union(*map(bound_names, trees))
    space = test_module(program, ledger, bound)
    program.expected = set().union(*map(expected_objects, trees))
    own = set(job["own"]) | ({job["entry"]} if job["entry"] else set())
    sys.modules["solution"] = program.offered(program.names - bound - builtins.__dict__.keys())
    if job["prefix"]:
        exec(_whole(job["prefix"]), space)
        for name in own & program.names:
            space.pop(name, None)
        if isinstance(program, LocalProgram):  # there the program comes last, and what it defines is what the tests see
            space.update({name: program.look(name) for name in space.keys() & program.names})
    modules = _stateless_modules(trees) - bound - own
    texts: list[str] = []
    for tree in trees:
        instrument(tree, texts)
    space[CASE] = lambda number: Case(ledger, number, texts[number])
    codes = [compile(tree, "<tests>", "exec", dont_inherit=True) for tree in trees]
    if job["form"] == "asserts":
        with guard(ledger, program):
            space.update({name: importlib.import_module(name) for name in modules & program.names})
            _bind(codes, space, own, program, bound | modules)
    ledger.expect(len(texts))
    random.seed(0)
    for code in codes:
        with guard(ledger, program):
            exec(code, space)
    check = space.get("check") if "check" in bound and "check" not in ledger.begun else None
    if isinstance(check, types.FunctionType) and check.__name__ == "check":
        entry = job["entry"] or next(iter(sorted(own)), None)
        if entry is None:
            raise NotJudgeableError("a check function needs the name of the function to check (entry_point)")
        with guard(ledger, program):
            result = check(space[entry] if entry in space else _entry(program, entry))
            if isinstance(result, types.CoroutineType):
                _finish(result)
    if ledger.checks and ledger.checks == ledger.chosen_checks:
        program.unsure = program.unsure or "how many checks are made is the program's choice"
    candidate = None if job["entry"] is None or job["entry"] not in program.names else program.look(job["entry"])
    run_collected(space, ledger, program, ledger.begun, candidate, len(texts))
    ledger.close(program)


def _entry(program: Program, name: str) -> Any:
    if name not in program.names:
        raise NameError(f"name {name!r} is not defined")
    return program.look(name)


def _whole(prefix: str) -> types.CodeType:
    """The prefix as code by itself: one that ends where a function body should begin gets an empty body."""
    try:
        return compile(prefix, "<prefix>", "exec", dont_inherit=True)
    except SyntaxError:
        return compile(f"{prefix.rstrip()}\n    pass\n", "<prefix>", "exec", dont_inherit=True)


def _bind(codes: list[types.CodeType], space: dict[str, Any], own: set[str], program: Program, bound: set[str]) -> None:
    """Let test code see the program's names: those its answer is known to define, and others that mean nothing yet;
    never one that the test code gives a meaning itself."""
    for name in {name for code in codes for name in code_names(code)} - bound:
        if name in program.names and (name in own or (name not in space and name not in builtins.__dict__)):
            space[name] = program.look(name)


def _stateless_modules(trees: list[ast.Module]) -> set[str]:
    """Modules of the standard library that the tests speak of, and of nothing but what is in them: these are not the
    program's to define."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    spoken = Counter(node.id for node in nodes if isinstance(node, ast.Name) and node.id in _STATELESS)
    asked = Counter(
        node.value.id
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in spoken
        if hasattr(importlib.import_module(node.value.id), node.attr)
    )
    return {name for name, times in spoken.items() if asked[name] == times}


def _finish(coroutine: Any) -> Any:
    import asyncio  # heavy, and few tests want it

    return asyncio.run(coroutine)
