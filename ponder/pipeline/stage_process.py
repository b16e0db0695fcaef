"""A process that runs stages, one after the other, for a run that has several under way.

    python -m ponder.pipeline.stage_process PIPE LOCK

    in    Begin, one at a time
    out   Said, Warned ...; Ended

SIGTERM is a KeyboardInterrupt, as on the command line, and ends it once the stage's manifest says so. It ends with its
pipe, too. The run folder's lock is held until then, whatever has become of the run.
"""

import gc
import io
import signal
import sys
import threading
import warnings
from multiprocessing.connection import Connection
from typing import NoReturn, TextIO

from ponder.allocator import give_back_memory, keep_freed_memory
from ponder.pipeline.lock import hold
from ponder.pipeline.messages import INTERRUPTED, Begin, Ended, Said, Warned
from ponder.pipeline.stage import run_stage
from ponder.rollout.carried import Carried
from ponder.sandbox.isolation import accept_isolation

__all__ = ["Lines", "stop_on_sigterm"]

_AGAIN = 0.05
"""Seconds until an interrupt that was lost comes again."""


class Lines(io.TextIOBase):
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
            self._pipe.send(Warned(str(message), category.__name__, filename, lineno))

    def ended(self, ended: Ended) -> None:
        if self._begun:
            self.write("\n")  # it had no end
        with self._lock:
            self._pipe.send(ended)


def _run(begin: Begin) -> Ended:
    try:
        accept_isolation(begin.recipe.isolation)
        run_stage(begin.standing, begin.recipe, begin.out, begin.clock, None, smoke=begin.smoke, say=print)
    except Exception as error:  # the run decides what becomes of it
        return Ended(Carried.of(error))
    return Ended()


def stop_on_sigterm() -> None:
    """Have the first SIGTERM raise KeyboardInterrupt: another one would end the tidying up."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    sys.unraisablehook = _lost


def _interrupt(number: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _lost(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised while it finalizes an object; an interrupt comes again then."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    else:
        sys.__unraisablehook__(unraisable)


def main() -> None:
    """Serve the pipe until it is closed."""
    stop_on_sigterm()
    keep_freed_memory()
    pipe = Connection(int(sys.argv[1]))
    hold(int(sys.argv[2]))
    lines = Lines(pipe)
    sys.stdout = lines
    warnings.showwarning = lines.warned
    try:
        while True:
            lines.ended(_run(pipe.recv()))
            gc.collect()
            give_back_memory()  # others have use for it while this process waits
    except (EOFError, ConnectionError):
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
