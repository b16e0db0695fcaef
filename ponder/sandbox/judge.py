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
import contextlib
import errno
import json
import os
import random
import sys
import traceback
import types
import unittest
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol, Self

from ponder.sandbox import checks
from ponder.sandbox.channel import Channel
from ponder.sandbox.remote import NotJudgeableError, ProgramGoneError, Remote, RemoteProgram, check_modules
from ponder.sandbox.serve import run_module
from ponder.sandbox.stand_ins import STAND_INS, SkippedError, collect
from ponder.sandbox.world import Surroundings

__all__ = ["judge_program", "judge_together"]

_JOB, _VERDICT, _CHANNEL = 3, 4, 5
_SOURCE_AND_JOB = 5
_NOTE_CHARS = 300
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSPC, errno.ENOSYS, errno.EROFS)
"""What the sandbox says to tests that want more than it gives."""

_NO_FOLDER = "No usable temporary directory"
"""What `tempfile` makes of that where no file can be written."""


class _Program(Protocol):
    """What the tests know of the program."""

    names: frozenset[str]
    used: int
    raised: BaseException | None
    strange: str
    unsure: str
    swallowed: list[BaseException]
    calling_back: int
    expected: set[str]

    def look(self, name: str) -> Any: ...
    def change(self, name: str, value: Any) -> None: ...


class _Together:
    """The program in this very process."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module
        self.names = frozenset(name for name in module.__dict__ if not name.startswith("__"))
        self.used = 1
        self.raised: BaseException | None = None
        self.strange = self.unsure = ""
        self.swallowed: list[BaseException] = []
        self.calling_back = 0
        self.expected: set[str] = set()

    def look(self, name: str) -> Any:
        return self._module.__dict__[name]

    def change(self, name: str, value: Any) -> None:
        self._module.__dict__[name] = value


class _Ledger:
    """Writes the verdict down."""

    def __init__(self, secret: str, program: _Program | None = None) -> None:
        self._secret = secret
        self.program = program
        self._failed: set[int] = set()
        self._passed: set[int] = set()
        self.total = 0
        self.checks = 0
        self.chosen_checks = 0
        """Those of them that stand in a loop over what the program gave."""
        self.entered = 0
        """How often a function with checks was begun."""
        self.begun: set[str] = set()
        """Those of them that stand at the top of the test file."""
        self.swallowed: list[str] = []
        """Failures that test code caught and did not pass on, in the case that runs."""

    def write(self, what: int | str, value: object, note: str = "") -> None:
        line = json.dumps([self._secret, what, value, note[:_NOTE_CHARS]]).encode() + b"\n"
        while line:
            line = line[os.write(_VERDICT, line) :]

    def expect(self, more: int) -> None:
        self.total += more
        self.write("total", self.total)

    def record(self, case: int, passed: bool, note: str = "") -> None:
        """A case that ran; one that runs several times passes if it passes each time."""
        self._take_swallowed()
        if passed and self.swallowed:
            passed, note = False, self.swallowed[0]
        self.swallowed.clear()
        if not passed and self.program is not None and self.program.strange:
            self.write("doubt", True, self.program.strange)  # the tests may not come to their end
        known = self._passed if passed else self._failed
        if case not in known:
            known.add(case)
            self.write(case, passed, note)

    def _take_swallowed(self) -> None:
        if self.program is not None:
            self.swallowed += [f"the program swallowed a failed check: {error}" for error in self.program.swallowed]
            self.program.swallowed.clear()

    def fault(self, error: BaseException) -> None:
        """Something raised outside of every case: the file would have broken off there."""
        if self.is_end(error):
            return
        self.doubt_refusal(error)
        self.write("fault", True, f"{type(error).__name__}: {error}")

    def is_end(self, error: BaseException | None) -> bool:
        """Whether the tests, not the program, ended the run as one that went well."""
        ended = isinstance(error, SystemExit) and error.code in (None, 0)
        if error is None or not ended or _went_through_program(error):
            return False
        return self.program is None or error is not self.program.raised

    def doubt_refusal(self, error: BaseException | None) -> None:
        """A refusal of the sandbox to the tests themselves says nothing about the program, and what is neither a failed
        check nor raised by the program may come of the values that stand for its objects here."""
        if error is None or self.program is None or error is self.program.raised:
            return
        if not isinstance(error, AssertionError):
            self.program.strange = self.program.strange or f"the tests raised {type(error).__name__}"
        if isinstance(error, OSError) and (error.errno in _REFUSED or _NO_FOLDER in str(error)):
            self.write("excuse", True, f"the tests want what the sandbox refuses: {error}")

    def close(self, program: _Program) -> None:
        self._take_swallowed()
        if self.swallowed:
            self.write("fault", True, self.swallowed[0])
        if program.strange:
            self.write("doubt", True, program.strange)
        if program.unsure:
            self.write("unsure", True, program.unsure)
        self.write("done", self.checks)


class _Block:
    """The innermost context of a block with checks: it sees whether the block came to its end."""

    finished = False
    error: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.error = error
        self.finished = kind is None or issubclass(kind, SkippedError | unittest.SkipTest)

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)


def _files(error: BaseException) -> list[str]:
    """The source files of the code that an exception came through, the one that raised it last."""
    return [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]


def _is_of_program(error: BaseException) -> bool:
    """Whether the code of a program in this very process raised it."""
    return _files(error)[-1:] == ["/tmp/solution.py"]


def _went_through_program(error: BaseException) -> bool:
    """Whether a program in this very process raised it, itself or by what it called."""
    return "/tmp/solution.py" in _files(error)


class _Case:
    """Context in which one case runs: whatever it raises fails this case only."""

    def __init__(self, ledger: _Ledger, number: int, text: str) -> None:
        self._ledger, self._number, self._text = ledger, number, text
        self._checks = ledger.checks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, ProgramGoneError | NotJudgeableError | KeyboardInterrupt):
            return False
        if isinstance(error, SkippedError | unittest.SkipTest):
            return False
        if self._ledger.is_end(error):
            error = None
        self._ledger.doubt_refusal(error)
        note = "" if error is None else f"{self._text} -> {type(error).__name__}: {error}".rstrip(": ")
        if error is None and self._ledger.checks == self._checks and not self._ledger.swallowed:
            self._ledger.write("unsure", True, f"{self._text} checked nothing")
        self._ledger.record(self._number, error is None, note)
        return True


def judge_program() -> int:
    """Role: read the job, run its tests, write the verdict."""
    job = _job(_JOB)
    ledger = _Ledger(job["secret"])
    try:
        classes = job["classes"]
        known = None if classes is None else {name: frozenset(methods) for name, methods in classes.items()}
        surroundings = Surroundings() if job["worldly"] else None
        program = RemoteProgram(Channel(_CHANNEL), known, _world(surroundings))
        if program.failure:
            check_modules(program.failure)
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
    ledger = _Ledger(job["secret"])
    random.seed(0)
    try:
        _run(job, _Together(run_module("solution")), ledger)
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


def _run(job: dict[str, Any], program: _Program, ledger: _Ledger) -> None:
    """The test code as its own runner would have it: its statements, then what they define as tests."""
    ledger.program = program
    trees = [ast.parse(test) for test in job["tests"]]
    bound: set[str] = set().union(*map(checks.bound_names, trees))
    space = _module(program, ledger, bound)
    program.expected = set().union(*map(checks.expected_objects, trees))
    own = set(job["own"]) | ({job["entry"]} if job["entry"] else set())
    sys.modules["solution"] = _Solution(program, program.names - bound - builtins.__dict__.keys())
    if job["prefix"]:
        exec(_whole(job["prefix"]), space)
        for name in own & program.names:
            space.pop(name, None)
        if isinstance(program, _Together):  # there the program comes last, and what it defines is what the tests see
            space.update({name: program.look(name) for name in space.keys() & program.names})
    texts: list[str] = []
    for tree in trees:
        checks.instrument(tree, texts)
    space[checks.CASE] = lambda number: _Case(ledger, number, texts[number])
    codes = [compile(tree, "<tests>", "exec", dont_inherit=True) for tree in trees]
    if job["form"] == "asserts":
        with _guard(ledger, program):
            _bind(codes, space, own, program, bound)
    ledger.expect(len(texts))
    random.seed(0)
    for code in codes:
        with _guard(ledger, program):
            exec(code, space)
    check = space.get("check") if "check" in bound and "check" not in ledger.begun else None
    if isinstance(check, types.FunctionType) and check.__name__ == "check":
        entry = job["entry"] or next(iter(sorted(own)), None)
        if entry is None:
            raise NotJudgeableError("a check function needs the name of the function to check (entry_point)")
        with _guard(ledger, program):
            result = check(space[entry] if entry in space else _entry(program, entry))
            if isinstance(result, types.CoroutineType):
                _finish(result)
    if ledger.checks and ledger.checks == ledger.chosen_checks:
        program.unsure = program.unsure or "how many checks are made is the program's choice"
    candidate = None if job["entry"] is None or job["entry"] not in program.names else program.look(job["entry"])
    _run_collected(space, ledger, ledger.begun, candidate, len(texts))
    ledger.close(program)


def _entry(program: _Program, name: str) -> Any:
    if name not in program.names:
        raise NameError(f"name {name!r} is not defined")
    return program.look(name)


def _module(program: _Program, ledger: _Ledger, bound: set[str]) -> dict[str, Any]:
    """A fresh `__main__` for the test code, with what its instruments and its libraries need."""
    loops = 0

    def seen(value: Any) -> Any:
        value = bool(value)
        counted()
        return value

    def counted() -> None:
        if program.used and not program.calling_back:  # a check that the program may as well not have called is none
            ledger.checks += 1
            ledger.chosen_checks += loops > 0

    def of_program(source: str) -> Literal["data", "result"] | None:
        """What of the program the test code speaks of, if anything."""
        owner, _, member = source.partition(".")
        if isinstance(program, _Together) or owner in builtins.__dict__:
            return None
        whole = isinstance(space.get(owner), _Solution)
        name = member if whole else owner
        if name in program.names and (whole or name not in bound):
            return "result" if isinstance(program.look(name), Remote) else "data"
        return "result" if whole or owner == "candidate" else None

    def chosen(items: Any, source: str) -> Any:
        kind = of_program(source)
        if kind == "data":
            program.unsure = program.unsure or f"what is checked depends on the program's {source!r}"
        return items if kind is None else looped(items)

    def looped(items: Any) -> Iterator[Any]:
        nonlocal loops
        loops += 1
        try:
            yield from items
        finally:
            loops -= 1

    def parameters(values: Any, source: str) -> Any:
        if of_program(source) is not None:
            program.unsure = program.unsure or f"what is checked depends on the program's {source!r}"
        return values

    def skips(condition: Any, wanted: bool, *sources: str) -> Any:
        if bool(condition) is wanted and any(map(of_program, sources)):
            program.unsure = program.unsure or f"what is skipped depends on the program's {', '.join(sources)}"
        return condition

    def zipped(*columns: Any) -> Iterator[tuple[Any, ...]]:
        """As `zip`, but where a list ends before another something remains unchecked."""
        rows = 0
        for row in zip(*columns, strict=False):
            yield row
            rows += 1
        if any(isinstance(column, list | tuple | dict) and len(column) > rows for column in columns):
            program.unsure = program.unsure or "a list ended before the one it was compared with"

    def number(value: Any) -> Any:
        if type(value) is float and value != value:
            program.unsure = program.unsure or "what is not a number was put in order"
        return value

    def left(block: _Block) -> None:
        if block.finished:
            return
        if (
            isinstance(block.error, AssertionError)
            and block.error is not program.raised
            and not _is_of_program(block.error)
        ):
            ledger.swallowed.append(f"a failed check was swallowed: {block.error}")
        else:
            program.unsure = program.unsure or "a block with checks broke off, and its context manager swallowed why"

    def swallowed(checks_something: bool) -> None:
        """In an `except` that goes on after a check: a failed check, or a program that raised where it should not."""
        error = sys.exception()
        if checks_something or (isinstance(error, AssertionError) and error is not program.raised):
            ledger.swallowed.append(f"a failure was caught by the tests: {type(error).__name__}: {error}")
        else:
            counted()

    def entered(name: str) -> None:
        ledger.entered += 1
        ledger.begun.add(name)

    module = types.ModuleType("__main__")
    module.__dict__["__file__"] = "/tmp/tests.py"
    sys.modules["__main__"] = module
    sys.modules.update(STAND_INS)
    unittest.main = lambda *_, **__: None  # type: ignore[assignment]  # they are collected and run below
    space: dict[str, Any] = module.__dict__
    space |= {
        checks.SEEN: seen,
        checks.ASSERTED: seen,
        checks.COUNTED: counted,
        checks.NUMBER: number,
        checks.CHOSEN: chosen,
        checks.PARAMETERS: parameters,
        checks.SKIPS: skips,
        checks.ZIP: zipped,
        checks.WITHIN: _Block,
        checks.LEFT: left,
        checks.ENTERED: entered,
        checks.SWALLOWED: swallowed,
        checks.TYPE: lambda value: value.own_class() if type(value) is Remote else type(value),
    }
    return space


@contextlib.contextmanager
def _guard(ledger: _Ledger, program: _Program) -> Iterator[None]:
    """Where test code runs outside of a case: whatever it raises makes the verdict wrong."""
    try:
        yield
    except (SkippedError, unittest.SkipTest) as error:
        raise NotJudgeableError(f"they skip themselves: {error}") from None
    except (Exception, SystemExit) as error:
        _check_import(error, program)
        ledger.fault(error)


def _check_import(error: BaseException, program: _Program) -> None:
    """A module that the tests, not the program, cannot import says nothing about the program."""
    if isinstance(error, ModuleNotFoundError) and error is not program.raised:
        raise NotJudgeableError(f"{error}; only the standard library is there")


def _whole(prefix: str) -> types.CodeType:
    """The prefix as code by itself: one that ends where a function body should begin gets an empty body."""
    try:
        return compile(prefix, "<prefix>", "exec", dont_inherit=True)
    except SyntaxError:
        return compile(f"{prefix.rstrip()}\n    pass\n", "<prefix>", "exec", dont_inherit=True)


def _bind(
    codes: list[types.CodeType], space: dict[str, Any], own: set[str], program: _Program, bound: set[str]
) -> None:
    """Let test code see the program's names: those its answer is known to define, and others that mean nothing yet;
    never one that the test code gives a meaning itself."""
    for name in {name for code in codes for name in checks.code_names(code)} - bound:
        if name in program.names and (name in own or (name not in space and name not in builtins.__dict__)):
            space[name] = program.look(name)


class _Solution(types.ModuleType):
    """What `import solution` gives a test file. Only `offered` comes with a star."""

    def __init__(self, program: _Program, offered: set[str] | frozenset[str]) -> None:
        super().__init__("solution")
        self.__dict__["__all__"] = sorted(name for name in offered if not name.startswith("_"))
        self.__dict__["_program"] = program
        self.__dict__["_replaced"] = {}

    def __getattr__(self, name: str) -> Any:
        program: _Program = self.__dict__["_program"]
        if name not in program.names:
            raise AttributeError(f"the program defines no {name!r}")
        return program.look(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            super().__setattr__(name, value)
            return
        program: _Program = self.__dict__["_program"]
        if name in program.names:
            self.__dict__["_replaced"].setdefault(name, program.look(name))
        program.change(name, value)

    def __delattr__(self, name: str) -> None:
        """What a patch does at its end, since the name is not found in this module's own dict."""
        self.__dict__["_program"].change(name, self.__dict__["_replaced"].pop(name))


class _Result(unittest.TestResult):
    """Writes every outcome down as it comes."""

    def __init__(self, ledger: _Ledger, numbers: dict[unittest.TestCase, int]) -> None:
        super().__init__()
        self._ledger, self._numbers = ledger, numbers
        self._before = (0, 0, 0, 0)

    def _used(self) -> int:
        return 0 if self._ledger.program is None else self._ledger.program.used

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._before = (self._ledger.checks, self._used(), self._ledger.entered, self._ledger.chosen_checks)

    def _record(self, test: unittest.TestCase, passed: bool, error: Any = None) -> None:
        note = "" if error is None else f"{test.id()} -> {error[0].__name__}: {error[1]}"
        if error is not None:
            if issubclass(error[0], ProgramGoneError | NotJudgeableError):
                raise error[1]
            if self._ledger.program is not None:
                _check_import(error[1], self._ledger.program)
            self._ledger.doubt_refusal(error[1])
        if test in self._numbers:
            self._ledger.record(self._numbers[test], passed, note)
        else:  # the failure of a whole class, whose tests then do not run
            self._ledger.write("fault", True, note)

    def addSuccess(self, test: unittest.TestCase) -> None:
        if self._ledger.checks == self._before[0] and self._ledger.entered != self._before[2]:
            self._ledger.write("unsure", True, f"{test.id()} came to none of its checks")
        made = self._ledger.checks - self._before[0]
        if made and made == self._ledger.chosen_checks - self._before[3]:
            self._ledger.write("unsure", True, f"{test.id()}: how many checks are made is the program's choice")
        self._record(test, True)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, False, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._record(test, False, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """A test that is skipped whatever the program does is no test; one that looked first says nothing."""
        error = sys.exception()
        if error is not None and _went_through_program(error):
            self._record(test, False, (type(error), error))
            return
        if self._used() != self._before[1]:
            self._ledger.write("unsure", True, f"{test.id()} skipped itself on what the program did: {reason}")
        if test in self._numbers:
            self._ledger.record(self._numbers[test], True)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._record(test, True)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._record(test, False)


def _run_collected(space: dict[str, Any], ledger: _Ledger, done: set[str], candidate: Any, first: int) -> None:
    """Test classes and test functions, as unittest and pytest would run them."""
    module = sys.modules["__main__"]
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite.addTests(collect(space, set(done), candidate))
    numbers = {test: first + place for place, test in enumerate(_flat(suite))}
    if not numbers:
        return
    ledger.expect(len(numbers))
    random.seed(0)
    suite.run(_Result(ledger, numbers))


def _flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flat(test)
        else:
            yield test


def _finish(coroutine: Any) -> Any:
    import asyncio

    return asyncio.run(coroutine)
