"""One process at a time works on a run folder.

The lock is the operating system's (`flock`), so it ends with the process however that dies, and a left-over file means
nothing. The file's text says who holds it.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ponder.errors import RunFolderError
from ponder.manifest import now

__all__ = ["LOCK", "locked"]

LOCK = "lock"

_held: set[int] = set()


def _let_go_in_child() -> None:
    # A forked worker shares the lock and would keep it alive after its parent was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder, created if need be; raises RunFolderError naming the holder when another run has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 4096).decode(errors="replace")
        os.close(descriptor)
        raise RunFolderError(
            f"the run folder {str(folder)!r} is in use by {_described(holder)}: wait until that run is over, stop it, "
            "or give this one another folder with --out"
        ) from None
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()})
        os.pwrite(descriptor, holder.encode(), 0)
        yield
    finally:
        if descriptor in _held:  # false in a forked child that returns through here
            _held.remove(descriptor)
            os.close(descriptor)


def _described(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another run that has just begun"
