"""Own files asked in a process apart, which may hang, swell, print, fork or end without harm.

check_own(code, uses)            RecipeError for a file that cannot be imported or a function that is none
made_problems(code, name, ...)   the problems that a function makes, one by one
declared_tools(code, names)      what a model is told of functions that it may call
"""

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from ponder.errors import DataError, RecipeError
from ponder.own.code import OwnCode
from ponder.recipe.own import OwnRole, OwnUse
from ponder.records import Problem, Tool, from_json

__all__ = ["LOAD_SECONDS", "MAKE_SECONDS", "Request", "check_own", "declared_tools", "made_problems", "see"]

LOAD_SECONDS = 60.0
"""How long an own file may take to be imported."""
MAKE_SECONDS = 600.0
"""How long an own function may take for all its problems."""
_LOAD_BYTES, _MAKE_BYTES = 4 << 30, 16 << 30
"""Address space: to be imported, as in a verifier worker; and for problems, which are made but once."""
_ROOT = str(Path(__file__).resolve().parents[2])
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked: whether `uses` can be what they are used as, and what a model is told of those that are tools;
    with `makes`, the problems of the only one."""

    code: OwnCode
    uses: Sequence[OwnUse]
    makes: bool = False
    memory_bytes: int = _LOAD_BYTES


def see(role: OwnRole) -> str:
    """Where functions of that role are shown."""
    return f"docs/{'tools' if role in ('tool', 'environment') else 'own-code'}.md shows files to copy"


def check_own(code: OwnCode, uses: Sequence[OwnUse], seconds: float = LOAD_SECONDS) -> None:
    """RecipeError unless every file can be imported and every function be called as what it is used as."""
    if uses:
        _asked(code, uses, seconds)


def declared_tools(code: OwnCode, names: Sequence[str], seconds: float = LOAD_SECONDS) -> tuple[Tool, ...]:
    """What a model is told of these functions; raises as `check_own` does."""
    if not names:
        return ()
    uses = [OwnUse(role="tool", function=name) for name in names]
    return tuple(from_json(Tool, message["tool"]) for message in _asked(code, uses, seconds))


def _asked(code: OwnCode, uses: Sequence[OwnUse], seconds: float) -> list[dict[str, Any]]:
    """What a child says of each use."""
    found: list[dict[str, Any]] = []
    try:
        for message in _ask(Request(code=code, uses=uses), seconds):
            use = uses[len(found)]
            if message["fault"] is not None:
                raise RecipeError(f"{message['fault']}. {see(use.role)}", about=use.function)
            found.append(message)
            if len(found) == len(uses):
                return found
    except TimeoutError:
        raise RecipeError(
            f"{uses[len(found)].file} is not imported within {seconds:g} seconds: a file of your own "
            "must only define things when it is imported; put what takes long or waits into the functions",
            about=uses[len(found)].function,
        ) from None
    raise RecipeError(
        f"{uses[len(found)].file} ends the process that imports it (os._exit, a crash, or more memory than there "
        "is): a file of your own must only define things when it is imported",
        about=uses[len(found)].function,
    )


def made_problems(
    code: OwnCode, name: str, arguments: Mapping[str, Any], seconds: float = MAKE_SECONDS
) -> Iterator[Problem]:
    """The problems that the function makes, in its order; no more are asked for than are taken. DataError where it
    fails, gives anything else, or takes longer than `seconds`."""
    use = OwnUse(role="problems", function=name, arguments=arguments)
    request = Request(code=code, uses=[use], makes=True, memory_bytes=_MAKE_BYTES)
    taken = 0
    try:
        for message in _ask(request, seconds):
            if message.get("fault"):
                raise DataError(f"{message['fault']}. {see(use.role)}")
            if "failure" in message:
                raise DataError(f"{message['failure']}.\n{message.get('traceback', '')}".rstrip())
            if "end" in message:
                return
            if "problem" in message:
                taken += 1
                yield _problem(name, taken, message["problem"])
    except TimeoutError:
        raise DataError(
            f"{name} made {taken} problems in {seconds:g} seconds and did not come to an end: set `limit` for a "
            "function that goes on for ever, or make fewer"
        ) from None
    raise DataError(f"{name} ended its process after {taken} problems (os._exit, a crash, or too much memory)")


def _problem(name: str, number: int, value: Mapping[str, Any]) -> Problem:
    try:
        problem = from_json(Problem, value)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise DataError(
            f"problem {number} of {name} is no Problem: {place}: {fault['msg']}, got {fault['input']!r:.80}"
        ) from None
    if not any(message.role == "user" for message in problem.messages):
        raise DataError(f"problem {number} of {name} asks nothing: it has no message of the role 'user'")
    return problem


def _ask(request: Request, seconds: float) -> Iterator[dict[str, Any]]:
    """The messages of a child, which is killed with all it has started when no more are taken. TimeoutError when
    it takes longer than `seconds` in all, the time between two messages in which nobody asked left out."""
    with tempfile.TemporaryFile() as asked:
        pickle.dump(request, asked)
        asked.seek(0)
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "ponder.own.child"],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        assert child.stdout is not None
        try:
            yield from _messages(child.stdout, seconds)
        finally:
            child.stdout.close()
            _kill(child)


def _messages(stream: IO[bytes], seconds: float) -> Iterator[dict[str, Any]]:
    waiting, spent = b"", 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            began = time.monotonic()
            if not selector.select(max(0.0, seconds - spent)):
                raise TimeoutError
            chunk = os.read(stream.fileno(), _READ_BYTES)
            spent += time.monotonic() - began
            if not chunk:
                return
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End the child and what it has started in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _environment() -> dict[str, str]:
    """The parent's, with this very copy of ponder first on the path and single-threaded numerics."""
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}
