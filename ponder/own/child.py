"""What runs in a process apart: says what own files hold, or makes problems. Started by `apart`, never imported.

In on standard input: a pickled `Request`. Out on standard output: one JSON object per line.
"""

import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Iterable
from inspect import getsourcelines, isclass, isfunction, unwrap
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from ponder.own.apart import Request
from ponder.own.call import failed
from ponder.own.load import Loaded
from ponder.own.quiet import silence
from ponder.own.roles import ROLES, Unfit, why_not_callable
from ponder.recipe.own import OwnName, OwnRole, OwnUse
from ponder.records import to_json
from ponder.sandbox.kernel import PR_SET_PDEATHSIG, prctl
from ponder.tools.declared import tool_of

__all__ = ["main"]

_HINT = (
    ": a file of your own is no part of a package; write `import helper` in place of `from . import helper`, and "
    "`from helper import one` in place of `from .helper import one`"
)


def main() -> None:
    """Answer one request."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    request: Request = pickle.load(sys.stdin.buffer)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    least = request.memory_bytes if most == resource.RLIM_INFINITY else min(request.memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (least, most))
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        silence()
        ours = os.getpid()
        loaded = Loaded(request.code)
        for use in request.uses:
            fault = _fault(loaded, use)
            told = {"tool": _tool(loaded, use)} if use.role == "tool" and fault is None else {}
            _send(out, {"fault": fault, **told}, ours)
        if request.makes:
            _make(loaded, request, out, ours)
    os._exit(0)  # threads and exit handlers of own code are not waited for


def _fault(loaded: Loaded, use: OwnUse) -> str | None:
    """What is wrong with a function before it is ever called."""
    own = OwnName.read(use.function)
    try:
        module = loaded.module(own.file)
    except BaseException as error:  # the boundary between the user's code and the run
        failure = failed(loaded, own.file, "exception", error)
        return f"{failure.reason} while it is imported{_HINT if _is_relative(error) else ''}"
    if own.function not in vars(module):
        return _not_there(module, own, use.role)
    function = vars(module)[own.function]
    reason = why_not_callable(function, use)
    return None if reason is None else f"{_place(function)}{use.function} {reason}"


def _is_relative(error: BaseException) -> bool:
    return isinstance(error, ImportError) and "attempted relative import" in str(error)


def _tool(loaded: Loaded, use: OwnUse) -> dict[str, Any]:
    return to_json(tool_of(loaded.function(OwnName.read(use.function))))


def _not_there(module: ModuleType, own: OwnName, role: OwnRole) -> str:
    what, is_one = ("class", isclass) if role == "environment" else ("function", isfunction)
    there = [
        name
        for name, value in vars(module).items()
        if is_one(value) and not name.startswith("_") and value.__module__ == module.__name__
    ]
    return f"{own.file} has no {what} {own.function!r}; it has {', '.join(sorted(there)) or 'none'}"


def _place(function: Any) -> str:
    if isclass(function):
        code = function.__module__  # its own code object is not kept, so its lines are asked for
        return f"{Path(sys.modules[code].__file__ or code).name}:{getsourcelines(function)[1]}: "
    inner = unwrap(function) if callable(function) else function
    return f"{Path(inner.__code__.co_filename).name}:{inner.__code__.co_firstlineno}: " if isfunction(inner) else ""


def _make(loaded: Loaded, request: Request, out: IO[str], ours: int) -> None:
    """Each problem as it is made; at last `end`, or what went wrong."""
    (use,) = request.uses
    name, number = use.function, 0
    try:
        made = loaded.function(OwnName.read(name))(**use.arguments)
        if not isinstance(made, Iterable):
            raise Unfit(f"returned {type(made).__name__} {made!r:.80}; expected an iterable of problems")
        for number, value in enumerate(made, start=1):  # noqa: B007 - it is read where this fails
            _send(out, {"problem": ROLES["problems"].take(value, ())}, ours)
        _send(out, {"end": number}, ours)
    except Unfit as unfit:
        _send(out, {"failure": f"{name} {unfit} (problem {number})"}, ours)
    except BrokenPipeError:
        pass  # enough have been taken
    except BaseException as error:  # the boundary between the user's code and the run
        failure = failed(loaded, name, "exception", error)
        _send(out, {"failure": f"{failure.reason}, after {number} problems", "traceback": failure.traceback}, ours)


def _send(out: IO[str], message: dict[str, Any], ours: int) -> None:
    if os.getpid() != ours:
        os._exit(0)  # forked by the user's code
    out.write(json.dumps(message) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
