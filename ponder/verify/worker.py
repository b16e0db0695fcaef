"""What runs inside one verifier worker: read a job, judge it, answer; until the parent closes the socket.

Started by `WorkerLink` as `python -m ponder.verify.worker DEADLINE_SECONDS MEMORY_BYTES CORE ISOLATION` with the socket
as standard input. The worker dies with its parent, and no process of its user can look into it. It never runs a model's
program itself: `verify_code` has the sandbox do that. What it does run is the user's own functions; for these it has
neither input nor output.
"""

import gc
import json
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import IO, Any

from ponder.own import Called, Cause, Failure, OwnCode
from ponder.own.call import call, failed
from ponder.own.load import Loaded
from ponder.own.quiet import silence
from ponder.records import CodeGold, Gold, RepositoryGold, Verdict
from ponder.sandbox.isolation import Least, accept_isolation, find_isolation
from ponder.sandbox.kernel import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, prctl
from ponder.sandbox.sandbox import SandboxError
from ponder.verify import same_answer, verify
from ponder.verify.claims import find_claims
from ponder.verify.code import run_program, verify_code
from ponder.verify.link import OwnCall, ProgramRun, Question
from ponder.verify.repository import verify_repository

__all__ = ["main"]

_LENGTH = struct.Struct("<I")
_CODE_SHARE = 0.8
"""Share of the pool's deadline that a program may use, so that its verdict comes before the worker is killed."""


def main(deadline_seconds: float, memory_bytes: int, core: int, isolation: Least) -> None:
    """Serve jobs until the socket closes."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_DUMPABLE, 0)
    accept_isolation(isolation)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    _warm_up()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    least = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, most))  # programs have limits of their own, some of them above this
    stream = parent.makefile("rb")
    loaded = _load(_receive(stream))
    gc.freeze()
    most_bytes = (_resident_bytes() + memory_bytes) / 2
    _send(parent, {"ready": True})
    while (job := _receive(stream)) is not None:
        if isinstance(job, OwnCall):
            called = call(loaded, job.role, job.function, job.arguments)
            retire = _was_hurt(called.failure) or _resident_bytes() > most_bytes
            _send(parent, {**asdict(called), "retire": retire})
            continue
        if isinstance(job, ProgramRun):
            began = time.perf_counter()
            text, is_bad = run_program(job.program, job.seconds, core)
            value = {"text": text, "failed": is_bad}
            spent = time.perf_counter() - began
            retire = _resident_bytes() > most_bytes
            _send(parent, {"value": value, "failure": None, "seconds": spent, "notice": _notice(), "retire": retire})
            continue
        if isinstance(job, Question):
            called = _answer(job)
            retire = called.failure is not None or _resident_bytes() > most_bytes
            _send(parent, {**asdict(called), "retire": retire})
            continue
        text, gold = job
        verdict, cause = _judge(text, gold, deadline_seconds * _CODE_SHARE, core)
        retire = cause is not None or _resident_bytes() > most_bytes
        _send(
            parent,
            {
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "answer": verdict.answer,
                "score": verdict.score,
                "cause": cause,
                "notice": _notice() if isinstance(gold, CodeGold | RepositoryGold) else "",
                "retire": retire,
            },
        )


def _load(code: OwnCode) -> Loaded:
    """The user's own files imported, before the first job: in every worker once. What goes wrong here is said by the
    last words of the worker."""
    loaded = Loaded(code)
    if not code.files:
        return loaded
    words = silence()
    try:
        for file in code.files:
            loaded.module(file)
    except BaseException as error:  # the boundary between the user's code and the run
        words.write(failed(loaded, "importing", "exception", error).traceback)
        words.flush()
        os._exit(1)
    return loaded


def _was_hurt(failure: Failure | None) -> bool:
    """Whether what happened may have left this process in disorder."""
    return failure is not None and failure.cause == "memory"


def _receive(stream: IO[bytes]) -> Any:
    """The next frame, or None when the parent has closed the socket."""
    header = stream.read(_LENGTH.size)
    return pickle.loads(stream.read(_LENGTH.unpack(header)[0])) if header else None


def _resident_bytes() -> int:
    """Memory in use now. The peak that getrusage tells would include the parent's, from before this program began."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _judge(text: str, gold: Gold, code_seconds: float, core: int) -> tuple[Verdict, str | None]:
    """The verdict, and why it could not be reached if a verifier failed: hostile text must not end the worker."""
    try:
        if isinstance(gold, CodeGold):
            return verify_code(text, gold, wall_seconds=code_seconds, core=core), None
        if isinstance(gold, RepositoryGold):
            return verify_repository(text, gold, core=core), None
        return verify(text, gold), None
    except MemoryError:
        return Verdict(outcome="cannot_tell", reason="the verifier ran out of memory"), "memory"
    except Exception as error:  # the boundary between hostile text and the run
        words = f"{type(error).__name__}: {error}"[:300]
        return Verdict(outcome="cannot_tell", reason=f"the {gold.kind} verifier failed: {words}"), "verifier_error"


def _answer(question: Question) -> Called:
    """What the verifiers' own code says; hostile text must not end the worker."""
    began = time.perf_counter()
    try:
        value = _QUESTIONS[question.function](*question.arguments)
    except Exception as error:  # the boundary between hostile text and the run
        cause: Cause = "memory" if isinstance(error, MemoryError) else "exception"
        reason = f"{question.function} failed: {type(error).__name__}: {error}"[:300]
        return Called(failure=Failure(function=question.function, cause=cause, reason=reason))
    return Called(value=value, seconds=time.perf_counter() - began)


def _same(answer: str, others: Sequence[str], gold: Gold) -> list[bool]:
    return [same_answer(answer, one, gold) for one in others]


def _claims(text: str) -> list[dict[str, Any]]:
    return [asdict(claim) for claim in find_claims(text)]


_QUESTIONS: Mapping[str, Callable[..., Any]] = {"same": _same, "claims": _claims}


def _notice() -> str:
    """What has to be said about isolation once a program was run; nothing when it was full."""
    try:
        isolation = find_isolation()
    except SandboxError:
        return ""  # no program was run: the verdict says so
    return "" if isolation.full else isolation.describe()


def _warm_up() -> None:
    """Pay for imports and first-call caches before the first deadline starts."""
    from ponder.records import MathGold

    verify(r"\boxed{\frac{1}{2}}", MathGold(answer="0.5"))
    verify(r"\boxed{\sqrt{x^2+1}}", MathGold(answer=r"\sqrt{1+x^2}"))


def _send(parent: socket.socket, message: dict[str, object]) -> None:
    payload = json.dumps(message).encode()
    parent.sendall(_LENGTH.pack(len(payload)) + payload)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])  # type: ignore[arg-type]
