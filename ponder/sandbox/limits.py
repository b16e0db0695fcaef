"""What one sandboxed process may use."""

import resource
from dataclasses import dataclass

__all__ = ["Limits", "apply_limits"]

_SIGNALS = 64
"""Signals that wait: the kernel counts those of all processes of the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps per program. `tasks` counts processes and threads: the most that a pool of Python's threads starts by itself
    is 32. New processes are allowed only with `processes`."""

    cpu_seconds: int = 3
    memory_bytes: int = 512 << 20
    stack_bytes: int = 64 << 20
    tasks: int = 40
    processes: bool = False
    open_files: int = 64
    file_bytes: int = 8 << 20
    """Size of any one file, captured output included."""
    tmp_bytes: int = 32 << 20
    """Size of the private /tmp."""


def apply_limits(limits: Limits, *, count_tasks: bool) -> None:
    """Limit the calling process for good; soft and hard limits are equal, so nothing can be raised again.

    `count_tasks` is for a user namespace of its own: elsewhere the kernel would count all processes of the user, and
    threads are counted by `threads`.
    """
    if count_tasks:
        resource.setrlimit(resource.RLIMIT_NPROC, (limits.tasks, limits.tasks))
    for kind, value in (
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_STACK, limits.stack_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, _SIGNALS),
    ):
        resource.setrlimit(kind, (value, value))
