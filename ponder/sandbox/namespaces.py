"""Namespaces: what a program can see of the machine.

`enter_view` is done once, by the zygote: a new root that shows the standard library, the system's libraries and
compilers and five device files, all read-only, and nothing else: no home, no /proc, no /etc beyond the linker's files.
`enter_program` is done in every cloned process: identity maps and a private /tmp.
"""

import glob
import os
import socket
import sys
import sysconfig
from functools import cache

from ponder.sandbox.kernel import (
    MOUNT_NODEV,
    MOUNT_NOSUID,
    MOUNT_RDONLY,
    PR_SET_DUMPABLE,
    mount,
    pivot_root,
    prctl,
    protect_mount,
    unshare,
)

__all__ = [
    "DEVICES",
    "PROGRAM_NAMESPACES",
    "become_nobody",
    "enter_program",
    "enter_view",
    "hidden_paths",
    "library_paths",
    "view_paths",
]

_NEW_MOUNTS, _NEW_UTS, _NEW_IPC = 0x00020000, 0x04000000, 0x08000000
_NEW_USER, _NEW_PID, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
PROGRAM_NAMESPACES = _NEW_USER | _NEW_MOUNTS | _NEW_PID | _NEW_NETWORK | _NEW_IPC | _NEW_UTS
"""New for every program."""

NOBODY = 65534
"""Identity of programs when ponder runs as root, since the kernel sets no process limit for user 0."""
_INSIDE = 1000
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_STAGE = "/proc"
"""Where the new root is put together: a directory every system has and the new root does without."""
_EMPTY = "size=0,nr_inodes=1,mode=555"
_HOST_NAME = "sandbox"
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_NOSUID, _NODEV = 2, 4


@cache
def library_paths() -> tuple[str, ...]:
    """Folders of this interpreter's standard library, whatever environment it runs in."""
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    found = {os.path.realpath(sysconfig.get_path(name, vars=base)) for name in ("stdlib", "platstdlib")}
    return tuple(sorted(filter(os.path.isdir, found)))


@cache
def view_paths() -> tuple[str, ...]:
    """Paths that programs can read, but for `hidden_paths`: the system's own, the standard library and the shared
    libraries that came with the interpreter."""
    came_along = sorted(glob.glob(f"{glob.escape(os.path.realpath(sys.base_prefix))}/lib/*.so*"))
    outside = (path for path in (*library_paths(), *came_along) if not path.startswith("/usr/"))
    return (*(path for path in _SYSTEM if os.path.lexists(path)), *outside)


@cache
def hidden_paths() -> tuple[str, ...]:
    """Folders of installed packages below `view_paths`: they are not part of the standard library."""
    homes = (*library_paths(), "/usr/lib*/python3*", "/usr/local/lib*/python3*")
    found = {os.path.realpath(place) for home in homes for place in glob.glob(f"{home}/*-packages")}
    return tuple(sorted(path for path in found if os.path.isdir(path)))


def enter_view(proc: int) -> None:
    """Move the calling process, for good, into a root that shows only `view_paths`. `proc` is /proc, opened before."""
    if os.geteuid() == 0:
        unshare(_NEW_MOUNTS)
    else:
        user, group = os.geteuid(), os.getegid()
        unshare(_NEW_USER | _NEW_MOUNTS)
        _map_identity(proc, user, group, user, group)
    mount("none", "/", "", _RECURSIVE | _PRIVATE)
    mount("tmpfs", _STAGE, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    for path in view_paths():
        target = _STAGE + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
            continue
        _bind(path, target)
        for hidden in hidden_paths():
            if hidden.startswith(f"{path}/"):
                mount("tmpfs", _STAGE + hidden, "tmpfs", _NOSUID | _NODEV, _EMPTY)
        protect_mount(target, MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV, recursive=True)
    os.makedirs(f"{_STAGE}/dev")
    for path in DEVICES:
        _bind(path, _STAGE + path)
    os.makedirs(f"{_STAGE}/tmp", exist_ok=True)  # the library may lie below it
    pivot_root(_STAGE)
    protect_mount("/", MOUNT_RDONLY, recursive=False)
    if os.geteuid() == 0:
        become_nobody()


def enter_program(proc: int, user: int, group: int, tmp_bytes: int) -> None:
    """Finish the new namespaces of a cloned process: `user` and `group` are the zygote's, seen from outside."""
    _map_identity(proc, _INSIDE, _INSIDE, user, group)
    socket.sethostname(_HOST_NAME)
    covered = {path: os.open(path, os.O_PATH) for path in library_paths() if path.startswith("/tmp/")}
    mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV, f"size={tmp_bytes},nr_inodes=1000,mode=700")
    os.fchdir(proc)
    for path, handle in covered.items():
        os.makedirs(path)
        mount(f"self/fd/{handle}", path, "", _BIND | _RECURSIVE)
        os.close(handle)
    for path in DEVICES:
        protect_mount(path, MOUNT_RDONLY, recursive=False)  # they can be written to, but their times say nothing
    if os.path.isdir("/proc"):
        mount("tmpfs", "/proc", "tmpfs", _NOSUID | _NODEV, _EMPTY)
    os.chdir("/tmp")


def become_nobody() -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _bind(path: str, target: str) -> None:
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(path, target, "", _BIND | _RECURSIVE)


def _map_identity(proc: int, user: int, group: int, outside_user: int, outside_group: int) -> None:
    """Map one user and one group of the new user namespace to the only ones we may: our own."""
    prctl(PR_SET_DUMPABLE, 1)  # files in /proc/self belong to root while a process is not dumpable
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {outside_user} 1"),
        ("gid_map", f"{group} {outside_group} 1"),
    ):
        handle = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    prctl(PR_SET_DUMPABLE, 0)
