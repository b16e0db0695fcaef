"""A rank's process: makes what it is told, answers verbs, and ends with its parent.

    python -m ponder.ranks.process PIPE PARENT "module:function"

The first message holds the arguments of the function, which makes an object; each further one is (verb, arguments), a
method of it. Each is answered. Whatever ends the parent, or closes the pipe, ends this process.
"""

import importlib
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from ponder.allocator import keep_freed_memory
from ponder.errors import PonderError
from ponder.ranks.answer import Answer

_LOOK_EVERY = 1.0
"""Seconds between looks at whether the parent is there."""


def _end_with(parent: int) -> None:
    """A collective operation cannot be interrupted, so another thread sees to it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


def _answer(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    try:
        return Answer(value=work(*arguments))
    except PonderError as error:
        return Answer(error=error)
    except Exception as error:  # the parent decides what becomes of it
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return Answer(trace=traceback.format_exc(), out_of_memory=reason if _out_of_memory(error) else "")


def _out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from ponder.policy.memory import is_out_of_memory

    return is_out_of_memory(error)


def main() -> None:
    """Serve the pipe until it is closed."""
    keep_freed_memory()
    link, parent, (home, _, name) = Connection(int(sys.argv[1])), int(sys.argv[2]), sys.argv[3].partition(":")
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    target: Any = None
    while True:
        try:
            verb, arguments = pickle.loads(link.recv_bytes())
        except EOFError:
            os._exit(0)  # not by way of torch's own endings, which may wait for ranks that are gone
        if target is None:
            answer = _answer(lambda *given: getattr(importlib.import_module(home), name)(*given), arguments)
            target, answer = answer.value, replace(answer, value=None)
        else:
            answer = _answer(getattr(target, verb), arguments)
        try:
            link.send_bytes(pickle.dumps(answer))
        except BrokenPipeError:
            os._exit(0)


if __name__ == "__main__":
    main()
