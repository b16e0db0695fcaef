"""One process at a time works on a run folder.

The lock is the operating system's (`flock`), so it ends with the process however that dies, and a left-over file means
nothing. The file's text says who holds it. Processes that a run has write there hold it, too: it is free once all of
them have ended.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from ponder.errors import RunFolderError
from ponder.manifest import now

__all__ = ["LOCK", "hold", "locked", "to_hand_on"]

LOCK = "lock"

_held: set[int] = set()


def _let_go_in_child() -> None:
    # A forked worker shares the lock and would keep it alive after its parent was killed.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the run folder, created if need be, by the descriptor that is given; raises RunFolderError naming the holder
    when another run has it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 4096).decode(errors="replace")
        os.close(descriptor)
        raise RunFolderError(
            f"the run folder {str(folder)!r} is in use by {_described(holder)}, or give this one another folder with "
            "--out"
        ) from None
    _held.add(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()})
        os.pwrite(descriptor, holder.encode(), 0)
        yield descriptor
    finally:
        if descriptor in _held:  # false in a forked child that returns through here
            _held.remove(descriptor)
            os.close(descriptor)


@contextmanager
def to_hand_on(lock: int) -> Iterator[int]:
    """A second descriptor of it, for a process that is started meanwhile and calls `hold`: a child lets go of the first
    one before its program begins."""
    descriptor = os.dup(lock)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def hold(descriptor: int) -> None:
    """Hold what was handed on until this process ends; what it forks or starts does not."""
    os.set_inheritable(descriptor, False)
    _held.add(descriptor)


def _described(text: str) -> str:
    """Who holds it, and what to do."""
    try:
        holder = json.loads(text)
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        if holder["host"] == socket.gethostname() and not psutil.pid_exists(holder["pid"]):
            return f"stages of {who}, which was killed: wait some seconds until they have stopped"
    except (json.JSONDecodeError, KeyError, TypeError):
        who = "another run that has just begun"
    return f"{who}: wait until that run is over, stop it"
