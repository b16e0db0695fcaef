"""How a process that answers verbs is started: with a pipe, a share of the cores, and an end tied to its parent's."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

__all__ = ["launch"]

_PACKAGE_ROOT = str(Path(__file__).parents[2])
_RETURNED = str(1 << 20)
"""Bytes from which the C library gives freed memory back at once, where it is glibc. It learns to keep more and more
otherwise, and what layers are gathered into, time and again, would leave a rank as large as one process alone."""


def launch(
    maker: str,
    threads: int,
    inherited: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> tuple[subprocess.Popen[bytes], Connection]:
    """The process and its pipe, see `process.py`. It inherits the file descriptors `inherited`; what it prints goes
    behind what `log` holds, or to this process's stderr."""
    ours, theirs = Pipe()
    paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    output = 2 if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ponder.ranks.process", str(theirs.fileno()), str(os.getpid()), maker],
            pass_fds=[theirs.fileno(), *inherited],
            env={
                "MALLOC_MMAP_THRESHOLD_": _RETURNED,
                **os.environ,
                **(environment or {}),
                "OMP_NUM_THREADS": str(threads),
                "PYTHONPATH": os.pathsep.join(paths),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,  # what a library prints is no output of ours
            stderr=output,
            start_new_session=True,  # what a terminal sends is for the parent, which ends them
        )
    finally:
        if log is not None:
            os.close(output)
        theirs.close()
    return process, ours
