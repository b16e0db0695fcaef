"""How well programs can be isolated on this machine, found out by trying.

bubblewrap   bwrap makes the outer view; every program gets namespaces of its own inside it
namespaces   ponder makes the view itself: as a plain user in a user namespace, or as root (then programs run as
             nobody; bubblewrap is not used by root, because it would leave them user 0, which has no process limit)
limits       no namespaces: the system call filter, the resource limits and Landlock; without Landlock only where that
             is accepted by name, since programs can then read what their user can read
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from ponder.sandbox.bubblewrap import bubblewrap_command
from ponder.sandbox.keeps import KEPT, Strength
from ponder.sandbox.landlock import landlock_version
from ponder.sandbox.limits import Limits
from ponder.sandbox.sandbox import Sandbox, SandboxError, zygote_command

__all__ = ["Isolation", "Least", "accept_isolation", "accepted_isolation", "find_isolation"]

Level = Literal["bubblewrap", "namespaces", "limits"]
Least = Literal["auto", "full", "limits"]
"""The least that is put up with: `full` wants namespaces, `auto` them or Landlock, `limits` neither."""

_PROBE = b"import os, statistics; print(os.getpid(), os.path.exists('/proc/self'))"
_PROBE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """The best level that works here. `command` starts its zygote; `missing` says why better levels do not work."""

    level: Level
    command: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def full(self) -> bool:
        """Whether programs have namespaces of their own."""
        return self.level != "limits"

    @property
    def strength(self) -> Strength:
        """The level's column in the table of what is kept from programs."""
        return "limits without Landlock" if self.level == "limits" and not landlock_version() else self.level

    def describe(self) -> str:
        """One paragraph for people."""
        passed_over = f" Passed over: {'; '.join(self.missing)}." if self.missing else ""
        if self.full:
            return (
                f"Programs are fully isolated ({self.level}: namespaces, system call filter, resource limits)."
                f"{passed_over}"
            )
        files = (
            "Landlock keeps them from the machine's files"
            if landlock_version()
            else "THEY CAN READ EVERY FILE THAT THEIR USER CAN READ"
        )
        return (
            f"PROGRAMS ARE NOT FULLY ISOLATED: only the system call filter and resource limits hold them; {files}."
            f"{passed_over} Allow unprivileged user namespaces or install bubblewrap."
        )

    def left_open(self) -> tuple[str, ...]:
        """What of the table is not kept from programs here."""
        as_root = os.geteuid() == 0
        return tuple(row.what for row in KEPT if self.strength in row.open and not (row.unless_root and as_root))


class _Accepted:
    """What this process puts up with."""

    least: Least = "auto"


def accept_isolation(least: Least) -> None:
    """Say what this process, and the verifiers that it starts from now on, put up with."""
    _Accepted.least = least


def accepted_isolation() -> Least:
    """What was said last."""
    return _Accepted.least


def find_isolation(least: Least | None = None) -> Isolation:
    """The best level, each tried with a real program; SandboxError where it is less than `least`, by default what this
    process accepts."""
    return _find(_Accepted.least if least is None else least)


@cache
def _find(least: Least) -> Isolation:
    missing: list[str] = []
    for level, command in _candidates():
        if level == "limits":
            if least == "full":
                missing.append("limits: namespaces are demanded (isolation: full)")
                continue
            if least == "auto" and not landlock_version():
                missing.append(
                    "limits: the kernel has no Landlock, so that programs could read every file that their user can "
                    "read; `isolation: limits` accepts that by name"
                )
                continue
        try:
            made = command()
            _try(made, full=level != "limits")
        except (SandboxError, OSError) as error:
            missing.append(f"{level}: {error}")
            continue
        return Isolation(level=level, command=tuple(made), missing=tuple(missing))
    raise SandboxError(f"Programs cannot be run safely on this machine: {'; '.join(missing)}")


def _candidates() -> list[tuple[Level, Callable[[], list[str]]]]:
    bubblewrap = shutil.which("bwrap")
    candidates: list[tuple[Level, Callable[[], list[str]]]] = []
    if bubblewrap is not None and os.geteuid() != 0:
        candidates.append(("bubblewrap", lambda: bubblewrap_command(bubblewrap)))
    candidates.append(("namespaces", lambda: zygote_command("view")))
    candidates.append(("limits", lambda: zygote_command("bare")))
    return candidates


def _try(command: list[str], *, full: bool) -> None:
    descriptors = [os.open(os.devnull, os.O_RDONLY), *(os.memfd_create("probe") for _ in range(3))]
    try:
        os.pwrite(descriptors[3], _PROBE, 0)
        with Sandbox(command) as sandbox:
            number = sandbox.start("main", descriptors, Limits())
            ending = sandbox.wait(number, time.monotonic() + _PROBE_SECONDS)
        printed, complaints = (os.pread(descriptor, 500, 0).decode(errors="replace") for descriptor in descriptors[1:3])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if ending.exit != 0 or (full and printed != "1 False\n"):
        raise SandboxError(f"a trial program did not run as it should: {complaints or printed or ending}")
