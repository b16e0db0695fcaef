"""A process that runs stages, one after the other, for a run that has several under way.

    python -m ponder.pipeline.stage_process PIPE

    in    Begin, one at a time
    out   Said, Warned ...; Ended

SIGTERM is a KeyboardInterrupt, as on the command line, and ends it once the stage's manifest says so. It ends with its
pipe, too.
"""

import io
import signal
import sys
import threading
import warnings
from multiprocessing.connection import Connection
from typing import NoReturn, TextIO

from ponder.allocator import keep_freed_memory
from ponder.pipeline.messages import Begin, Ended, Said, Warned
from ponder.rollout.carried import Carried

_INTERRUPTED = 130


class _Lines(io.TextIOBase):
    """An output whose lines go into a pipe, whoever prints them: many processes on one terminal would mix theirs."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
            for line in lines:
                self._pipe.send(Said(line))
        return len(text)

    def warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        with self._lock:
            self._pipe.send(Warned(str(message), category, filename, lineno))

    def ended(self, ended: Ended) -> None:
        with self._lock:
            self._pipe.send(ended)


def _run(begin: Begin) -> Ended:
    from ponder.pipeline.stage import run_stage
    from ponder.sandbox.isolation import accept_isolation

    accept_isolation(begin.recipe.isolation)
    try:
        run_stage(begin.standing, begin.recipe, begin.out, begin.clock, None, smoke=begin.smoke, say=print)
    except Exception as error:  # the run decides what becomes of it
        return Ended(Carried.of(error))
    return Ended()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Serve the pipe until it is closed."""
    signal.signal(signal.SIGTERM, _interrupt)
    keep_freed_memory()
    pipe = Connection(int(sys.argv[1]))
    lines = _Lines(pipe)
    sys.stdout = lines
    warnings.showwarning = lines.warned
    try:
        while True:
            lines.ended(_run(pipe.recv()))
    except (EOFError, BrokenPipeError):
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
