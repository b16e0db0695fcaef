"""One program tried by its tests: two processes in the sandbox, a channel between them, the verdict through a pipe.

Plain asserts are tried from this very process. Everything a run says comes back through memory the caller owns.
"""

import contextlib
import json
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

from ponder.sandbox.channel import Channel
from ponder.sandbox.descriptors import held, memory_file, null_device
from ponder.sandbox.direct import DirectCase, read_direct, run_direct
from ponder.sandbox.errors import NotJudgeableError, NotPlainAnswerError, ProgramGoneError, TooLargeError
from ponder.sandbox.limits import Limits
from ponder.sandbox.names import lent_imports, takes_every_name, undefined_names
from ponder.sandbox.remote import RemoteProgram
from ponder.sandbox.report import Report, listen
from ponder.sandbox.sandbox import Sandbox, check_setup
from ponder.sandbox.source import joined
from ponder.sandbox.worldly import is_worldly

__all__ = ["judge", "judge_node"]

_MAX_DIRECT_BYTES = 1 << 20
"""Longest message taken from a program whose asserts are tried in this process."""


_LAST_MOMENT = 0.3
"""Seconds a program gets to end by itself after its tests have ended."""


def judge(
    sandbox: Sandbox,
    program: str,
    tests: tuple[str, ...],
    *,
    form: str,
    prefix: str,
    entry: str | None,
    own: list[str],
    classes: dict[str, list[str]] | None,
    limits: Limits,
    deadline: float,
) -> Report:
    """Run `program`, put before it `prefix`, and try `tests` on it until `deadline` (monotonic clock).

    `entry` is the function under test and `own` are the names that a right program defines; only these may stand for
    a built-in in the tests. `classes` are those of them that are classes, with their methods, or None where that is not
    known.
    """
    job: dict[str, Any] = {
        "form": form,
        "tests": tests,
        "prefix": prefix,
        "entry": entry,
        "own": own,
        "classes": classes,
    }
    whole = form == "unittest" and not takes_every_name(tests)
    known = whole or classes is not None
    job["undefined"] = sorted(undefined_names(tests) - (set() if whole else {*own, entry})) if known else []
    job["worldly"] = is_worldly(tests)
    lent = lent_imports(tests, program) if form == "asserts" else ""
    source = joined(lent, prefix, program).encode(errors="replace")
    cases = read_direct(tests, prefix, entry) if form == "asserts" else None
    if cases is not None:
        names = frozenset([*own, *filter(None, [entry])])
        direct = _Direct(cases=cases, own=names, undefined=frozenset(job["undefined"]))
        report = _run_both(sandbox, source, limits, deadline, direct)
        if report is not None:
            return report
    report = _run_both(sandbox, source, limits, deadline, job)
    assert report is not None
    shared = form == "unittest" or _redefines(program, prefix, entry)
    asked = bool(report.doubt or job["worldly"])
    if report.done and (asked or shared):
        _look_again(report, sandbox, source, job, limits, deadline, asked)
    return report


def _redefines(program: str, prefix: str, entry: str | None) -> bool:
    """Whether the program defines anew what its prefix defines: the tests use the prefix's, the program its own."""
    return any(name != entry and f"def {name}" in program for name in re.findall(r"^def (\w+)", prefix, re.MULTILINE))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Direct:
    """Plain asserts, to be tried from this process."""

    cases: tuple[DirectCase, ...]
    own: frozenset[str]
    undefined: frozenset[str]


def _run_both(
    sandbox: Sandbox, source: bytes, limits: Limits, deadline: float, tests: _Direct | dict[str, Any]
) -> Report | None:
    """Run the program in one process and its tests from another; None where they turn out not to be direct."""
    report = Report()
    worldly = not isinstance(tests, _Direct) and tests["worldly"]
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(null_device())
        printed = stack.enter_context(memory_file()) if worldly else null
        errors = stack.enter_context(memory_file())
        text = stack.enter_context(memory_file(source))
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                role = "world" if worldly else "serve"
                running = sandbox.start(role, [null, printed, errors, text, theirs.fileno()], limits)
            if isinstance(tests, _Direct):
                direct = _judge_here(report, tests, ours.fileno(), deadline)
            else:
                direct = True
                _judge_apart(report, sandbox, "judge", tests, [ours.fileno()], limits, deadline)
            if not report.gone:
                sandbox.abandon(running)  # before it learns from the closed channel that its tests are done
        if report.gone:
            report.ending = sandbox.wait(running, min(deadline, time.monotonic() + _LAST_MOMENT))
            check_setup(report.ending, errors)
    return report if direct else None


def _judge_here(report: Report, tests: _Direct, channel: int, deadline: float) -> bool:
    """Plain asserts, tried from this process; False where the program hands over what is not plain."""
    try:
        program = RemoteProgram(Channel(channel, deadline=deadline, max_bytes=_MAX_DIRECT_BYTES), plain_only=True)
        if program.failure:
            program.check_failure()
            report.gone = f"the program failed: {program.failure}"
            return True
        report.total = len(tests.cases)
        spoken = frozenset().union(*(case.names for case in tests.cases)) - program.names
        for number, (passed, note) in enumerate(run_direct(tests.cases, tests.own, program)):
            report.add(number, passed, note)
        report.done, report.checks, report.excuse = True, len(tests.cases), program.refused
        for name in spoken & tests.undefined:
            report.excuse = f"the tests speak of {name!r}, which nothing defines"
    except (NotPlainAnswerError, TooLargeError):
        return False
    except NotJudgeableError as error:
        report.failed = f"the tests cannot be run: {error}"
    except ProgramGoneError as error:
        report.late = time.monotonic() >= deadline
        report.gone = "" if report.late else f"the program ended before its tests were done ({error})"
    return True


def _judge_apart(
    report: Report,
    sandbox: Sandbox,
    role: str,
    job: dict[str, Any],
    more: list[int],
    limits: Limits,
    deadline: float,
) -> None:
    """Test code of any kind, run by a role in the sandbox; its verdict comes through a pipe."""
    secret = secrets.token_hex(16)
    content = json.dumps({**job, "secret": secret}).encode()
    with null_device() as null, memory_file(content) as task, memory_file() as errors:
        read, write = os.pipe2(os.O_CLOEXEC)
        with held(read):
            with held(write):
                first = [null, null, errors]
                order = [*first, *more, write, task] if role == "together" else [*first, task, write, *more]
                judging = sandbox.start(role, order, limits)
            report.late = not listen(read, report, secret, deadline)
        if report.final or report.late:
            sandbox.abandon(judging)
        else:
            report.broke = sandbox.wait(judging, deadline)
            check_setup(report.broke, errors)
            report.last_words = os.pread(errors, 300, 0).decode(errors="replace").strip()


def judge_node(sandbox: Sandbox, program: str, tests: str, *, entry: str, limits: Limits, deadline: float) -> Report:
    """Run a JavaScript `program` and, in another process, `tests` that call its function `entry`."""
    report = Report()
    with null_device() as null, memory_file() as errors, memory_file(program.encode(errors="replace")) as text:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                running = sandbox.start("node program", [null, null, errors, text, theirs.fileno()], limits)
            job = {"tests": tests, "entry": entry}
            _judge_apart(report, sandbox, "node tests", job, [ours.fileno()], limits, deadline)
            if not report.gone:
                sandbox.abandon(running)
        if report.gone:
            report.ending = sandbox.wait(running, min(deadline, time.monotonic() + _LAST_MOMENT))
            check_setup(report.ending, errors)
    return report


def _look_again(
    report: Report,
    sandbox: Sandbox,
    source: bytes,
    job: dict[str, Any],
    limits: Limits,
    deadline: float,
    asked: bool,
) -> None:
    """Run the tests the plain way, in one process with the program. Its word, which the program could forge, is never
    enough for "right": it takes back a verdict that the plain way would not give. Where nothing `asked` for this, a
    wrong verdict stays unless the plain way ends, and ends well."""
    plain = Report()
    with memory_file(source) as text:
        _judge_apart(plain, sandbox, "together", job, [text], limits, deadline)
    if report.passes and not plain.passes:
        if plain.done and not plain.excuse:
            report.faults += 1
            report.notes += plain.notes[:1]
        else:
            report.unsure = report.unsure or f"{report.doubt}, and in one process the tests did not end"
    elif not report.passes and (plain.passes or (plain.late and asked)):
        report.excuse = report.excuse or f"{report.doubt or 'the tests share more than values with the program'}"
