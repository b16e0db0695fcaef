"""The processes of stages beside one another as their run has them: started, given stages, heard, and ended with it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from ponder.errors import PonderError
from ponder.pipeline.lock import to_hand_on
from ponder.pipeline.messages import INTERRUPTED, Begin, Ended, Said, Warned
from ponder.sandbox.kernel import end_with_parent
from ponder.share import environment

__all__ = ["StageCrew"]

_PACKAGE_ROOT = str(Path(__file__).parents[2])
_LOOK_EVERY = 1.0
"""Seconds between looks at whether the processes are there."""
_SIGNALS = {one.value: one.name for one in signal.Signals}
"""Those with a name; real-time signals have none."""


class StageCrew:
    """The processes of a recipe with that `at_once`, which hold the run folder's `lock`, and which stage each is busy
    with."""

    def __init__(self, at_once: int, lock: int) -> None:
        self._at_once, self._lock = at_once, lock
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}
        self.busy: dict[Connection, str] = {}

    def begin(self, begin: Begin) -> None:
        """Give the stage to a process that is idle, or to a new one."""
        idle = [pipe for pipe in self._processes if pipe not in self.busy]
        for pipe in [one for one in idle if self._processes[one].poll() is not None]:
            idle.remove(pipe)
            self._drop(pipe)
        pipe = idle[0] if idle else self._start()
        self.busy[pipe] = begin.standing.name
        with contextlib.suppress(OSError):  # it has just ended, which `next` finds
            pipe.send(begin)

    def next(self, say: Callable[[str], None]) -> list[tuple[str, BaseException | None]]:
        """Pass on what the processes say, and name the stages that have ended meanwhile, with what they raised."""
        ended: list[tuple[str, BaseException | None]] = []
        told = wait(list(self.busy), _LOOK_EVERY)
        for pipe, name in list(self.busy.items()):
            try:
                message = pipe.recv() if pipe in told else None
            except (EOFError, OSError):  # it ended between two messages, within one, or before it read its own
                message = None
            if isinstance(message, Said):
                say(message.line)
                sys.stdout.flush()
            elif isinstance(message, Warned):
                message.show()
            elif isinstance(message, Ended):
                error = None if message.error is None else message.error.error(f"raised in stage {name!r}")
                ended.append((self.busy.pop(pipe), error))
            elif pipe in told or (self._processes[pipe].poll() is not None and not pipe.poll()):
                ended.append((self.busy.pop(pipe), _gone(name, self._drop(pipe))))
        return ended

    def close(self) -> None:
        """End all; those that are busy put their things in order first."""
        try:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.wait()
        except KeyboardInterrupt:
            for process in self._processes.values():
                process.kill()
                process.wait()
            raise
        finally:
            for pipe in self._processes:
                pipe.close()

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {
            **environment(self._at_once),
            "PYTHONPATH": os.pathsep.join(paths),
            "TTY_COMPATIBLE": "0",  # tables go into a pipe, whatever the terminal is
        }
        with theirs, to_hand_on(self._lock) as lock:
            # -P: files in the working directory are no modules. In a session of its own it gets no Ctrl-C of the
            # terminal beside the signal from here.
            self._processes[ours] = subprocess.Popen(
                [sys.executable, "-P", "-m", "ponder.pipeline.stage_process", str(theirs.fileno()), str(lock)],
                pass_fds=[theirs.fileno(), lock],
                env=os.environ | own,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        return ours

    def _drop(self, pipe: Connection) -> int:
        """Let go of a process that has ended; how it did."""
        pipe.close()
        return self._processes.pop(pipe).wait()


def _gone(name: str, code: int) -> PonderError:
    how = _SIGNALS.get(-code, f"signal {-code}") if code < 0 else f"exit status {code}"
    if code in (-signal.SIGTERM, INTERRUPTED):
        what = f"was stopped ({how})"
    elif code == -signal.SIGKILL:
        what = f"ended by {how}, as it does where the machine runs out of memory: give `at_once=1` then"
    else:
        what = f"ended by {how}"
    return PonderError(f"The process of stage {name!r} {what}. The same command goes on from the last checkpoint")
