"""The tests' process: run test code the program never touches, against stand-ins for the program.

The verdict goes down a pipe that only this process and the caller hold, one JSON line per case: [secret, case, passed,
note]; before them [secret, "total", count, ""], after them [secret, "done", passed all, ""], or [secret, "failed",
false, why] when the tests themselves cannot be run. No last line means that the verdict is not in.
"""

import ast
import builtins
import json
import os
import random
import sys
import types
import unittest
from collections.abc import Iterator
from typing import Any, Self

from ponder.sandbox.channel import Channel
from ponder.sandbox.remote import NotJudgeableError, ProgramGoneError, RemoteProgram

__all__ = ["judge_program"]

_JOB, _VERDICT, _CHANNEL = 3, 4, 5
_NOTE_CHARS = 300


class _Ledger:
    """Writes the verdict down."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._failed: set[int] = set()
        self._passed: set[int] = set()

    def write(self, what: int | str, value: object, note: str = "") -> None:
        line = json.dumps([self._secret, what, value, note[:_NOTE_CHARS]]).encode() + b"\n"
        while line:
            line = line[os.write(_VERDICT, line) :]

    def record(self, case: int, passed: bool, note: str = "") -> None:
        """A case that ran; one that runs several times passes if it passes each time."""
        known = self._passed if passed else self._failed
        if case not in known:
            known.add(case)
            self.write(case, passed, note)

    def close(self, total: int) -> None:
        self.write("done", len(self._passed - self._failed) == total)


class _Case:
    """Context in which one case runs: whatever it raises fails this case only."""

    def __init__(self, ledger: _Ledger, number: int, text: str) -> None:
        self._ledger, self._number, self._text = ledger, number, text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, ProgramGoneError | NotJudgeableError):
            return False
        note = "" if error is None else f"{self._text} -> {type(error).__name__}: {error}".rstrip(": ")
        self._ledger.record(self._number, error is None, note)
        return True


def judge_program() -> int:
    """Role: read the job, run its tests, write the verdict."""
    with open(_JOB, "rb") as stream:
        job = json.loads(stream.read())
    ledger = _Ledger(job["secret"])
    try:
        program = RemoteProgram(Channel(_CHANNEL), None if job["classes"] is None else frozenset(job["classes"]))
        if program.failure:
            ledger.write("gone", False, f"the program failed: {program.failure}")
        elif job["form"] == "unittest":
            _run_file(job, program, ledger)
        else:
            _run_asserts(job, program, ledger)
    except ProgramGoneError as error:
        ledger.write("gone", False, f"the program ended before its tests were done ({error})")
    except (NotJudgeableError, SyntaxError) as error:
        ledger.write("failed", False, f"the tests cannot be run: {error}")
    return 0


def _run_asserts(job: dict[str, Any], program: RemoteProgram, ledger: _Ledger) -> None:
    space: dict[str, Any] = {"__name__": "tests"}
    own = set(job["own"]) | ({job["entry"]} if job["entry"] else set())
    if job["prefix"]:
        exec(_whole(job["prefix"]), space)
        for name in own & program.names:
            space.pop(name, None)
    texts: list[str] = []
    trees = [ast.parse(test) for test in job["tests"]]
    for tree in trees:
        _mark(tree.body, texts)
    if not texts:
        trees = [ast.parse(test) for test in job["tests"]]
        for tree in trees:
            tree.body = [_wrapped(tree.body, texts)]
    if not texts:
        raise NotJudgeableError("there are none")
    space["__case__"] = lambda number: _Case(ledger, number, texts[number])
    codes = [compile(ast.fix_missing_locations(tree), "<tests>", "exec") for tree in trees]
    _bind(codes, space, own, program)
    ledger.write("total", len(texts))
    random.seed(0)
    for code in codes:
        try:
            exec(code, space)
        except (Exception, SystemExit) as error:  # in the setup of cases, which are then not seen and do not pass
            _check_import(error, program)
            ledger.write("note", False, f"{type(error).__name__}: {error}")
    if "check" in space and not any(_calls_check(tree) for tree in trees):
        entry = job["entry"] or next(iter(sorted(own)), None)
        if entry is None:
            raise NotJudgeableError("a check function needs the name of the function to check (entry_point)")
        try:
            space["check"](space[entry] if entry in space else program.look(entry))
        except (Exception, SystemExit) as error:
            _check_import(error, program)
            ledger.write("note", False, f"{type(error).__name__}: {error}")
    ledger.close(len(texts))


def _check_import(error: BaseException, program: RemoteProgram) -> None:
    """A module that the tests, not the program, cannot import says nothing about the program."""
    if isinstance(error, ModuleNotFoundError) and error is not program.raised:
        raise NotJudgeableError(f"{error}; only the standard library is there")


def _whole(prefix: str) -> types.CodeType:
    """The prefix as code by itself: one that ends where a function body should begin gets an empty body."""
    try:
        return compile(prefix, "<prefix>", "exec")
    except SyntaxError:
        return compile(f"{prefix.rstrip()}\n    pass\n", "<prefix>", "exec")


def _mark(body: list[ast.stmt], texts: list[str]) -> None:
    """Make every statement that asserts something a case, in test code and in HumanEval's `check` functions."""
    for place, statement in enumerate(body):
        if isinstance(statement, ast.FunctionDef):
            if statement.name == "check":
                _mark(statement.body, texts)
        elif not isinstance(statement, ast.ClassDef) and any(isinstance(n, ast.Assert) for n in ast.walk(statement)):
            body[place] = _wrapped([statement], texts)


def _wrapped(body: list[ast.stmt], texts: list[str]) -> ast.stmt:
    number = len(texts)
    texts.append(ast.unparse(body[0])[:120] if body else "")
    call = ast.Call(func=ast.Name("__case__", ast.Load()), args=[ast.Constant(number)], keywords=[])
    return ast.With(items=[ast.withitem(context_expr=call)], body=body)


def _calls_check(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check"
        for node in ast.walk(tree)
    )


def _bind(codes: list[types.CodeType], space: dict[str, Any], own: set[str], program: RemoteProgram) -> None:
    """Let test code see the program's names: those its answer is known to define, and others that mean nothing yet."""
    for name in {name for code in codes for name in _names(code)}:
        if name in program.names and (name in own or (name not in space and name not in builtins.__dict__)):
            space[name] = program.look(name)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class _Solution(types.ModuleType):
    """What `import solution` gives a test file."""

    def __init__(self, program: RemoteProgram) -> None:
        super().__init__("solution")
        self.__dict__["__all__"] = sorted(program.names)
        self.__dict__["_program"] = program

    def __getattr__(self, name: str) -> Any:
        program: RemoteProgram = self.__dict__["_program"]
        if name not in program.names:
            raise AttributeError(f"the program defines no {name!r}")
        return program.look(name)


class _Result(unittest.TestResult):
    """Writes every outcome down as it comes."""

    def __init__(self, ledger: _Ledger, numbers: dict[str, int]) -> None:
        super().__init__()
        self._ledger, self._numbers = ledger, numbers

    def _record(self, test: unittest.TestCase, passed: bool, error: Any = None) -> None:
        if test.id() in self._numbers:  # not for the failure of a whole class, whose tests then do not run
            note = "" if error is None else f"{test.id()} -> {error[0].__name__}: {error[1]}"
            self._ledger.record(self._numbers[test.id()], passed, note)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._record(test, True)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._record(test, False, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._record(test, True)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, True)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._record(test, False)


def _run_file(job: dict[str, Any], program: RemoteProgram, ledger: _Ledger) -> None:
    sys.modules["solution"] = _Solution(program)
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    try:
        exec(compile("\n".join(job["tests"]), "<tests>", "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        _check_import(error, program)
        ledger.write("note", False, f"the test file does not load: {type(error).__name__}: {error}")
        ledger.write("total", 1)
        ledger.close(1)
        return
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    for name, value in sorted(module.__dict__.items()):
        if name.startswith("test") and isinstance(value, types.FunctionType):
            suite.addTest(unittest.FunctionTestCase(value))
    numbers = {test.id(): number for number, test in enumerate(_flat(suite))}
    if not numbers:
        raise NotJudgeableError("there are none")
    ledger.write("total", len(numbers))
    random.seed(0)
    suite.run(_Result(ledger, numbers))
    ledger.close(len(numbers))


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test
