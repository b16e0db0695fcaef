"""How well programs can be isolated on this machine, found out by trying.

bubblewrap   bwrap makes the outer view; every program gets namespaces of its own inside it
namespaces   ponder makes the view itself: as a plain user in a user namespace, or as root (then programs run as
             nobody; bubblewrap is not used by root, because it would leave them user 0, which has no process limit)
limits       no namespaces: only the system call filter, the resource limits and, where the kernel has it, Landlock
"""

import os
import shutil
import sys
import sysconfig
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from ponder.sandbox.landlock import landlock_version
from ponder.sandbox.limits import Limits
from ponder.sandbox.namespaces import DEVICES, view_paths
from ponder.sandbox.sandbox import Sandbox, SandboxError, zygote_command

__all__ = ["Isolation", "find_isolation"]

Level = Literal["bubblewrap", "namespaces", "limits"]

_PROBE = b"import os; print(os.getpid(), os.path.exists('/proc/self'))"
_PROBE_SECONDS = 20.0
_PACKAGE = Path(__file__).resolve().parents[1]


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

    def describe(self) -> str:
        """One paragraph for people."""
        if self.full:
            return f"Programs are fully isolated ({self.level}: namespaces, system call filter, resource limits)."
        files = (
            "Landlock keeps them from the machine's files"
            if landlock_version()
            else "THEY CAN READ EVERY FILE THAT THEIR USER CAN READ"
        )
        return (
            f"PROGRAMS ARE NOT FULLY ISOLATED: only the system call filter and resource limits hold them; {files}. "
            f"Missing: {'; '.join(self.missing)}. Allow unprivileged user namespaces or install bubblewrap."
        )


@cache
def find_isolation() -> Isolation:
    """Try the levels from best to worst, each with a real program; SandboxError if even the worst does not work."""
    missing: list[str] = []
    for level, command in _candidates():
        try:
            _try(command, full=level != "limits")
        except (SandboxError, OSError) as error:
            missing.append(f"{level}: {error}")
            continue
        return Isolation(level=level, command=tuple(command), missing=tuple(missing))
    raise SandboxError(f"Programs cannot be run safely on this machine: {'; '.join(missing)}")


def _candidates() -> list[tuple[Level, list[str]]]:
    bubblewrap = shutil.which("bwrap")
    candidates: list[tuple[Level, list[str]]] = []
    if bubblewrap is not None and os.geteuid() != 0:
        candidates.append(("bubblewrap", bubblewrap_command(bubblewrap)))
    candidates.append(("namespaces", zygote_command("view")))
    candidates.append(("limits", zygote_command("bare")))
    return candidates


def bubblewrap_command(bubblewrap: str) -> list[str]:
    """A zygote inside bubblewrap, which shows it the same view that `namespaces` makes, and ponder's sandbox."""
    python = {sys.base_prefix, sys.prefix, str(Path(sys.executable).parent), sysconfig.get_path("stdlib")}
    sandbox = (str(_PACKAGE / "__init__.py"), str(_PACKAGE / "sandbox"))
    command = [bubblewrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    for path in (*view_paths(), *sorted(p for p in python if not p.startswith("/usr/")), *sandbox):
        if os.path.islink(path) and os.path.dirname(path) == "/":
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind", path, path]
    for path in DEVICES:
        command += ["--dev-bind", path, path]
    command += ["--proc", "/proc", "--tmpfs", "/tmp", "--remount-ro", "/", "--chdir", "/"]
    return [*command, *zygote_command("inside")]


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
