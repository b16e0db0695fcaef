"""Programs against tests: the answer's program runs in a sandbox, and its results are judged outside of it."""

import json
import os
import re
import resource
import secrets
import subprocess
import sys
import tempfile

from ponder.records import CodeGold, Verdict

__all__ = ["extract_program", "verify_code"]

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.S | re.M)
_MAX_MEMORY = 1 << 30

_HARNESS = r"""
import json, os, sys
job = json.loads(sys.stdin.buffer.read())
channel = int(sys.argv[1])
sys.stdin = open(os.devnull)
space = {"__name__": "solution"}
passed, note = 0, ""
try:
    exec(compile(job["program"], "program", "exec"), space)
    for number, test in enumerate(job["tests"], 1):
        try:
            exec(compile(test, f"test {number}", "exec"), space)
            passed += 1
        except BaseException as error:
            note = note or f"test {number}: {type(error).__name__}: {error}"[:300]
except BaseException as error:
    note = f"the program failed: {type(error).__name__}: {error}"[:300]
os.write(channel, json.dumps([job["secret"], passed, note]).encode())
"""


def extract_program(text: str) -> str | None:
    """The last fenced code block, or the whole text where there is none."""
    blocks = _FENCE.findall(text)
    program = blocks[-1][2] if blocks else text
    return program if program.strip() else None


def verify_code(answer_text: str, gold: CodeGold, wall_seconds: float = 4.0) -> Verdict:
    """Right when the program in the answer passes every test."""
    if gold.form != "asserts" or gold.program_language != "python":
        return Verdict(outcome="cannot_tell", reason=f"{gold.form} tests of {gold.program_language} are not run yet")
    program = extract_program(answer_text)
    if program is None:
        return Verdict(outcome="wrong", reason="no program in the answer")
    secret = secrets.token_hex(16)
    job = {"program": gold.prefix + program, "tests": gold.tests, "secret": secret}
    read, write = os.pipe()
    with os.fdopen(read, "rb") as verdicts, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _HARNESS, str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd=folder,
            pass_fds=(write,),
            start_new_session=True,
            preexec_fn=_limit,
        )
        os.close(write)
        try:
            process.communicate(json.dumps(job).encode(), timeout=wall_seconds)
        except subprocess.TimeoutExpired:
            return Verdict(
                outcome="cannot_tell", reason=f"the program ran longer than {wall_seconds:g} s", answer=program
            )
        finally:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
            process.wait()
        reply = verdicts.read()
    if not reply:
        return Verdict(outcome="wrong", reason="the program ended before its tests were done", answer=program)
    said, passed, note = json.loads(reply)
    if said != secret:
        return Verdict(outcome="wrong", reason="the program interfered with its tests", answer=program)
    if passed == len(gold.tests):
        return Verdict(outcome="right", reason=f"passes {passed} of {passed} tests", answer=program, score=1.0)
    score = passed / len(gold.tests)
    return Verdict(outcome="wrong", reason=f"passes {passed} of {len(gold.tests)}: {note}", answer=program, score=score)


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
