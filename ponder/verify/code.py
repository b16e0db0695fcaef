"""Programs against tests: the answer's program runs in the sandbox, and its results are judged outside of it.

    answer text + CodeGold -> the program -> its results or its output -> Verdict

Asserts and unit tests run in a process of their own and call the program through a channel of plain values; expected
output is compared here. "Wrong" means that a test failed or that the program broke off, ran out of its processor time
or misbehaved; "cannot tell" that the wall clock or the sandbox gave out, or that the tests cannot be run.
"""

import atexit
import math
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from ponder.records import CodeGold, Verdict
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.javascript import NODE
from ponder.sandbox.kernel import PR_SET_DUMPABLE, prctl
from ponder.sandbox.limits import Limits
from ponder.sandbox.processes import REFUSED_PROCESS
from ponder.sandbox.reach import why_nothing_is_checked
from ponder.sandbox.report import Report
from ponder.sandbox.runs import OUTPUT_BYTES, Printed, compile_program, run_binary, run_node, run_script
from ponder.sandbox.sandbox import Ending, Sandbox, SandboxError, SetupError
from ponder.sandbox.source import joined
from ponder.sandbox.trial import judge, judge_node
from ponder.sandbox.values import short
from ponder.verify.appended import complete, why_nothing_is_appended, with_tests
from ponder.verify.compared import NOT_PLAIN, compared, given, why_not_trusted
from ponder.verify.output import same_output
from ponder.verify.program import expected_names, find_entry, find_program

__all__ = [
    "COMPILE_SECONDS",
    "allowed_seconds",
    "check_code",
    "close_sandbox",
    "run_program",
    "verify_code",
    "verify_program",
]

_NOT_ISOLATED = "programs in C++ and JavaScript are run only where namespaces isolate them"
_CPU_SHARE = 0.5
"""Processor time as a share of wall time: a busy program is found wrong before the clock makes it a cannot tell."""
_MOST_WHEN_WRONG = 0.99
"""Score of a program that passes every case of tests which then break off."""
COMPILE_SECONDS = 20.0
"""Wall time for compiling, on top of the time for the tests."""
_MOST_SECONDS = 120.0
_SHOWN_BYTES = 64 << 10
"""Of what a program prints that is run for its output."""
_FORMS = {
    "python": ("asserts", "unittest", "stdio"),
    "cpp": ("stdio", "appended"),
    "javascript": ("stdio", "appended"),
}
"""How programs of a language can be judged."""
_NAMES = {"python": "Python", "cpp": "C++", "javascript": "JavaScript"}
_NODE_MEMORY = 32 << 30
"""Address space of node, most of which it never uses; its heap has its own limit."""


class _Home:
    """The one sandbox of this process, started at first use and again when it fails."""

    sandbox: Sandbox | None = None


def verify_code(answer_text: str, gold: CodeGold, wall_seconds: float = 4.0, core: int | None = None) -> Verdict:
    """Right when the program in the answer passes every test; `score` is the fraction it passes. Program and tests run
    on one core: `core`, or the one this thread is on."""
    unusable = check_code(gold)
    if unusable is not None:
        return Verdict(outcome="cannot_tell", reason=unusable)
    found = find_program(answer_text, gold)
    if found.source is None:
        return Verdict(outcome="wrong", reason=found.rule)
    verdict = verify_program(found.source, gold, wall_seconds, core)
    return replace(verdict, reason=short(f"{found.rule}: {verdict.reason}"))


def verify_program(source: str, gold: CodeGold, wall_seconds: float = 4.0, core: int | None = None) -> Verdict:
    """The verdict on a program by itself, for a gold that `check_code` has nothing against."""
    try:
        sandbox = _sandbox()
        with sandbox.one_core(core):
            outcome, reason, score = _verify(sandbox, source, gold, wall_seconds)
    except SandboxError as error:
        if not isinstance(error, SetupError):
            close_sandbox()
        outcome, reason, score = "cannot_tell", f"the sandbox failed: {error}", 0.0
    return Verdict(outcome=outcome, reason=short(reason), answer=source, score=score)


def run_program(program: str, wall_seconds: float, core: int | None = None) -> tuple[str, bool]:
    """What a Python program prints in the sandbox, with the end of its complaints where it ended badly, and whether it
    did."""
    limits = Limits(cpu_seconds=max(1, math.ceil(wall_seconds)))
    try:
        sandbox = _sandbox()
        with sandbox.one_core(core):
            printed = run_script(sandbox, program, "", limits, time.monotonic() + wall_seconds, _SHOWN_BYTES)
    except SandboxError as error:
        if not isinstance(error, SetupError):
            close_sandbox()
        return f"error: the sandbox failed: {error}", True
    text = printed.output.decode(errors="replace")
    if printed.too_long:
        text += f"\n[only the first {_SHOWN_BYTES:,} bytes of what it printed]"
    if printed.ending.late:
        return f"{text}\nerror: the program was stopped after {wall_seconds:g} seconds".strip(), True
    why = _break_off(printed.ending, limits)
    if not why and printed.ending.exit == 0:
        return text, False
    said = printed.errors.decode(errors="replace")[-_SHOWN_BYTES:].strip()
    return f"{text}\n{said}\nerror: the program {why or f'ended with status {printed.ending.exit}'}".strip(), True


def allowed_seconds(gold: CodeGold, wall_seconds: float) -> float:
    """Wall time for judging one program: `wall_seconds`, unless its problem has a time limit of its own, which is that
    of one input, or of all other tests together."""
    if gold.seconds is None:
        return wall_seconds
    return min(_MOST_SECONDS, _patient(gold.seconds) * (len(gold.tests) if gold.form == "stdio" else 1))


def _patient(seconds: float) -> float:
    """Wall time that goes with a limit of processor time, on a machine that does other things, too."""
    return 2.0 * seconds + 1.0


def check_code(gold: CodeGold) -> str | None:
    """Why this gold cannot judge any program on this machine, or None."""
    language = gold.program_language
    if not gold.tests:
        return "the code gold has no tests"
    if gold.form not in _FORMS[language]:
        known = " or ".join(map(repr, _FORMS[language]))
        return f"{_NAMES[language]} programs are judged by tests of the form {known}, got {gold.form!r}"
    if gold.form == "stdio" and len(gold.tests) != len(gold.outputs):
        return f"the code gold has {len(gold.tests)} inputs but {len(gold.outputs)} expected outputs"
    if gold.seconds is not None and not 0 < gold.seconds <= _MOST_SECONDS:
        return f"the code gold has a time limit of {gold.seconds:g} seconds"
    if language == "cpp" and shutil.which("g++") is None:
        return "there is no C++ compiler on this machine: install g++"
    if language == "javascript" and not os.path.exists(NODE):
        return "there is no node on this machine, where programs can see it: install it in /usr"
    if gold.form == "appended":
        return why_nothing_is_appended(gold)
    return _why_nothing_is_checked(gold.tests) if gold.form != "stdio" else None


@lru_cache(maxsize=1024)
def _why_nothing_is_checked(tests: tuple[str, ...]) -> str | None:
    return why_nothing_is_checked(tests)


def close_sandbox() -> None:
    """End this process's sandbox, if it has one; the next program starts another."""
    if _Home.sandbox is not None:
        _Home.sandbox.close()
        _Home.sandbox = None


atexit.register(close_sandbox)


def _sandbox() -> Sandbox:
    if _Home.sandbox is None:
        isolation = find_isolation()
        if isolation.strength == "limits without Landlock":
            prctl(PR_SET_DUMPABLE, 0)  # programs see /proc, and this process holds what is expected of them
        _Home.sandbox = Sandbox(isolation.command)
    return _Home.sandbox


_Judgement = tuple[Literal["right", "wrong", "cannot_tell"], str, float]


def _verify(sandbox: Sandbox, program: str, gold: CodeGold, wall_seconds: float) -> _Judgement:
    if gold.seconds is None:
        limits = Limits(cpu_seconds=max(1, math.ceil(wall_seconds * _CPU_SHARE)))
    else:
        limits = Limits(cpu_seconds=math.ceil(gold.seconds))
        wall_seconds = allowed_seconds(gold, wall_seconds)
    if gold.form == "stdio":
        return _by_output(sandbox, program, gold, limits, wall_seconds)
    deadline = time.monotonic() + wall_seconds
    if gold.form == "appended":
        return _by_appended(sandbox, program, gold, limits, wall_seconds)
    own, classes = expected_names(gold)
    report = judge(
        sandbox,
        program,
        gold.tests,
        form=gold.form,
        prefix=gold.prefix,
        entry=find_entry(gold),
        own=own,
        classes=None if gold.answer is None else classes,
        limits=limits,
        deadline=deadline,
    )
    return _by_tests(report, limits, wall_seconds)


def _by_appended(sandbox: Sandbox, program: str, gold: CodeGold, limits: Limits, wall_seconds: float) -> _Judgement:
    """Tests in the program's own language. Those of JavaScript run in a process of their own; those of C++ are one
    program with it, whose end, which is told by a secret, is the verdict."""
    if not find_isolation().full:
        return "cannot_tell", _NOT_ISOLATED, 0.0
    entry = gold.entry_point or ""
    if gold.program_language == "javascript":
        limits = _node_limits(limits)
        deadline = time.monotonic() + wall_seconds
        whole = complete(program, gold.prefix, entry)
        report = judge_node(sandbox, whole, gold.tests[0], entry=entry, limits=limits, deadline=deadline)
        return _by_tests(report, limits, wall_seconds)
    name, secret = f"n{secrets.token_hex(8)}", secrets.token_hex(16)
    _, all_compared = compared(gold.tests[0], name)
    doubt = why_not_trusted(program, gold.tests[0], all_compared=all_compared)
    if doubt is not None:
        return "cannot_tell", doubt, 0.0
    whole, after = complete(program, gold.prefix, entry), given(gold.prefix, program, name)
    source = with_tests(whole, gold.tests[0], name, after if gold.prefix and whole.startswith(gold.prefix) else "")
    with _compiled(sandbox, source) as compiled:
        if not isinstance(compiled, int):
            return compiled
        printed = run_binary(sandbox, compiled, secret, limits, time.monotonic() + wall_seconds)
    if printed.ending.late:
        return "cannot_tell", f"no end within {wall_seconds:g} s", 0.0
    if printed.ending.exit == 0 and printed.output.endswith(secret.encode()):
        return "right", "passes its tests", 1.0
    why = _break_off(printed.ending, limits) or f"ended before its tests did: {_last_line(printed.errors)}"
    return "wrong", why, 0.0


def _node_limits(limits: Limits) -> Limits:
    return replace(limits, memory_bytes=_NODE_MEMORY, tasks=32, open_files=128)


def _by_tests(report: Report, limits: Limits, wall_seconds: float) -> _Judgement:
    score = report.passed / report.total if report.total else 0.0
    count = f"passes {report.passed} of {report.total} tests" if report.total else "no test was reached"
    note = f", first: {report.notes[0]}" if report.notes else ""
    if report.failed:
        return "cannot_tell", report.failed, 0.0
    if report.passes:
        if not report.checks:
            return "cannot_tell", "the tests checked nothing of the program's", 0.0
        if report.unsure:
            return "cannot_tell", f"{count}, which says nothing: {report.unsure}", score
        return "right", count, 1.0
    if report.done:
        if report.excuse:
            return "cannot_tell", f"{count}, which says nothing: {report.excuse}{note}", score
        return "wrong", count + note, min(score, _MOST_WHEN_WRONG)
    if report.gone:
        why = "" if report.ending is None else _break_off(report.ending, limits)
        return "wrong", f"{count}; {f'the program {why}' if why else report.gone}{note}", score
    if report.notes and not (report.doubt or report.excuse):
        return "wrong", f"{count}, the tests did not end{note}", score
    if report.late:
        return "cannot_tell", f"no verdict within {wall_seconds:g} s", score
    why = "" if report.broke is None else _break_off(report.broke, limits)
    return "cannot_tell", f"the tests broke off ({why or report.last_words or 'for no known reason'})", score


def _by_output(sandbox: Sandbox, program: str, gold: CodeGold, limits: Limits, wall_seconds: float) -> _Judgement:
    if gold.program_language == "python":
        return _all_inputs(
            lambda entered, end, room: run_script(sandbox, joined(gold.prefix, program), entered, limits, end, room),
            gold,
            limits,
            wall_seconds,
        )
    if not find_isolation().full:
        return "cannot_tell", _NOT_ISOLATED, 0.0
    if gold.program_language == "javascript":
        limits = _node_limits(limits)
        return _all_inputs(
            lambda entered, end, room: run_node(sandbox, gold.prefix + program, entered, limits, end, room),
            gold,
            limits,
            wall_seconds,
        )
    with _compiled(sandbox, gold.prefix + program) as compiled:
        if not isinstance(compiled, int):
            return compiled
        return _all_inputs(
            lambda entered, end, room: run_binary(sandbox, compiled, entered, limits, end, room),
            gold,
            limits,
            wall_seconds,
        )


@contextmanager
def _compiled(sandbox: Sandbox, source: str) -> Iterator[int | _Judgement]:
    """The binary of a C++ program, or the verdict where there is none."""
    binary = os.memfd_create("program", os.MFD_CLOEXEC)
    try:
        compiled = compile_program(sandbox, source, binary, time.monotonic() + COMPILE_SECONDS)
        if compiled.ending.late:
            yield "cannot_tell", f"not compiled within {COMPILE_SECONDS:g} s", 0.0
        elif NOT_PLAIN.encode() in compiled.errors:
            yield "cannot_tell", NOT_PLAIN, 0.0
        elif compiled.ending.exit != 0:
            yield "wrong", f"does not compile: {_first_line(compiled.errors)}", 0.0
        else:
            yield binary
    finally:
        os.close(binary)


def _all_inputs(
    run: Callable[[str, float, int], Printed], gold: CodeGold, limits: Limits, wall_seconds: float
) -> _Judgement:
    """Run the program on every input; after the first late one there is no time for more. Where the gold has a time
    limit it is that of each input, and one that takes longer is a failure."""
    passed, first, excused, late = 0, "", "", False
    deadline = time.monotonic() + wall_seconds
    for number, (entered, expected) in enumerate(zip(gold.tests, gold.outputs, strict=True), 1):
        end = deadline if gold.seconds is None else min(deadline, time.monotonic() + _patient(gold.seconds))
        began = time.monotonic()
        printed = run(entered, end, max(OUTPUT_BYTES, 2 * len(expected.encode(errors="replace"))))
        late = printed.ending.late and (gold.seconds is None or printed.ending.cpu_seconds <= gold.seconds)
        if late:
            break
        why = _break_off(printed.ending, limits)
        if not why and gold.seconds is not None and printed.ending.cpu_seconds > gold.seconds:
            why = f"took {printed.ending.cpu_seconds:.2f} s of processor time, more than {gold.seconds:g} s"
        if not why and printed.too_long:
            why = f"printed more than {max(OUTPUT_BYTES, 2 * len(expected.encode(errors='replace')))} bytes"
        if not why and printed.ending.exit != 0:
            why = f"ended with status {printed.ending.exit}: {_last_line(printed.errors)}"
        if not why and not same_output(printed.output, expected, gold.comparison):
            why = f"printed {_short(printed.output)}, expected {_short(expected.encode(errors='replace'))}"
        passed += not why
        if why and printed.refused:
            excused = excused or f", which says nothing: {REFUSED_PROCESS}: test {number} {why}"
        elif why:
            first = first or f", first: test {number} {why}"
    count, score = f"passes {passed} of {len(gold.tests)} tests", passed / len(gold.tests)
    if late and not first:
        return "cannot_tell", f"{count}, the next had no end within {end - began:.3g} s", score
    if first:
        return "wrong", count + first, score
    if excused:
        return "cannot_tell", count + excused, score
    return "right", count, 1.0


def _break_off(ending: Ending, limits: Limits) -> str:
    """Why a process ended against its will, if it did."""
    if ending.late or ending.signal is None:
        return ""
    if ending.signal in (signal.SIGKILL, signal.SIGXCPU):
        return f"was stopped: more than {limits.cpu_seconds} s of processor time, or out of memory"
    return f"crashed ({ending.signal_name})"


def _first_line(text: bytes) -> str:
    return next((line for line in _lines(text) if "error" in line), "no message")[:200]


def _last_line(text: bytes) -> str:
    return next(reversed(_lines(text)), "no message")[:200]


def _lines(text: bytes) -> list[str]:
    return [line for line in text.decode(errors="replace").splitlines() if line.strip()]


def _short(text: bytes) -> str:
    return repr(text[:60].decode(errors="replace")) + ("..." if len(text) > 60 else "")
