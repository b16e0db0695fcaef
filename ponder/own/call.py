"""One call of an own function in this process, whatever it does short of ending the process."""

import os
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from ponder.own.called import Called, Cause, Failure
from ponder.own.load import Loaded
from ponder.own.roles import ROLES, Unfit
from ponder.recipe.own import OwnName, OwnRole

__all__ = ["call", "failed"]

_MOST_CHARACTERS = 4_000
_MOST_WORDS = 300


def call(loaded: Loaded, role: OwnRole, name: str, arguments: tuple[Any, ...]) -> Called:
    """The value of the function as its role wants it, or the failure.

    A process that the call has forked ends here when it comes back from it: only one may answer.
    """
    ours, began = os.getpid(), time.perf_counter()
    try:
        value = ROLES[role].run(loaded.function(OwnName.read(name)), arguments)
        if os.getpid() != ours:
            os._exit(0)
        seconds = time.perf_counter() - began
        return Called(value=ROLES[role].take(value, arguments), seconds=seconds)
    except Unfit as error:
        unfit = Failure(function=name, cause="value", reason=f"{loaded.code.place(name)}{name} {error}")
        return Called(failure=unfit, seconds=time.perf_counter() - began)
    except BaseException as error:  # the boundary between the user's code and the run; SystemExit is one, too
        if os.getpid() != ours:
            os._exit(1)
        cause: Cause = "memory" if isinstance(error, MemoryError) else "exception"
        return Called(failure=failed(loaded, name, cause, error), seconds=time.perf_counter() - began)


def failed(loaded: Loaded, name: str, cause: Cause, error: BaseException) -> Failure:
    """The failure that an exception is, with the part of its traceback that is the user's."""
    own = _own_part(error.__traceback__, loaded.paths)
    lines = traceback.format_exception(type(error), error, own)
    place = _place(own, loaded.paths)
    words = traceback.format_exception_only(type(error), error)[-1].strip().replace("\n", " ")
    return Failure(
        function=name,
        cause=cause,
        reason=f"{f'{place}: ' if place else ''}{name} raises {words[:_MOST_WORDS]}",
        traceback="".join(lines)[-_MOST_CHARACTERS:],
    )


def _place(trace: TracebackType | None, paths: frozenset[str]) -> str:
    """`rewards.py:7`, the innermost line of the user's code, whatever library it had called."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename in paths]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _own_part(trace: TracebackType | None, paths: frozenset[str]) -> TracebackType | None:
    """The traceback from the first frame of an own file on; None where there is none."""
    while trace is not None and trace.tb_frame.f_code.co_filename not in paths:
        trace = trace.tb_next
    return trace
