"""The processes of lanes, which can be started ahead: torch and the models' code take as long to load in a server as in
its lanes, so both had better begin at once. Quick to load itself.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe

from ponder.recipe.serve import ServeConfig

__all__ = ["Spawned", "ahead", "spawn", "threads_of"]


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that waits for its first message (`messages.Begin`), this end of the pipe to it, and when it began."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    began: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Without another word."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()


def threads_of(config: ServeConfig) -> int:
    """Threads of each lane."""
    return config.threads or max(1, len(os.sched_getaffinity(0)) // config.lanes)


def spawn(threads: int) -> Spawned:
    """A lane that has no model yet."""
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "ponder.serve.worker", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"},
        stdin=subprocess.DEVNULL,
        stdout=2,  # what a library prints is no output of ours
        preexec_fn=_deaf,
    )
    theirs.close()
    return Spawned(process, ours)


def _deaf() -> None:
    """Signals that all of a group get are for the server, which closes the pipe."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)


@contextmanager
def ahead(config: ServeConfig) -> Iterator[list[Spawned]]:
    """The lanes that a configuration asks for. Whoever uses one takes it from the list; what is left is ended."""
    spawned = [spawn(threads_of(config)) for _ in range(config.lanes)]
    try:
        yield spawned
    finally:
        for one in spawned:
            one.end()
