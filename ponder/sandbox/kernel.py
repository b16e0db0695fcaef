"""System calls that Python's standard library does not offer, for Linux on x86-64 and arm64."""

import ctypes
import os
import platform
import signal
import sys

__all__ = [
    "ARCHITECTURE",
    "MOUNT_NODEV",
    "MOUNT_NOSUID",
    "MOUNT_RDONLY",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "clone",
    "current_core",
    "detach",
    "drop_capabilities",
    "end_with_parent",
    "mount",
    "pivot_root",
    "prctl",
    "protect_mount",
    "syscall",
    "unshare",
]

ARCHITECTURE = platform.machine()
"""`x86_64` and `aarch64` are known."""

_NUMBERS = {
    "clone": {"x86_64": 56, "aarch64": 220},
    "capset": {"x86_64": 126, "aarch64": 91},
    "pivot_root": {"x86_64": 155, "aarch64": 41},
    "mount_setattr": {"x86_64": 442, "aarch64": 442},
    "seccomp": {"x86_64": 317, "aarch64": 277},
    "landlock_create_ruleset": {"x86_64": 444, "aarch64": 444},
    "landlock_add_rule": {"x86_64": 445, "aarch64": 445},
    "landlock_restrict_self": {"x86_64": 446, "aarch64": 446},
}
_LIBC = ctypes.PyDLL(None, use_errno=True)  # PyDLL keeps the interpreter lock, which `clone` must hold across the call
_LIBC.syscall.restype = ctypes.c_long
_CAPABILITY_VERSION_3 = 0x20080522
_OWN_CAPABILITIES = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
_NO_CAPABILITIES = (ctypes.c_uint32 * 6)()
_AT_RECURSIVE = 0x8000
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
MOUNT_RDONLY, MOUNT_NOSUID, MOUNT_NODEV = 0x1, 0x2, 0x4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, *arguments: object) -> int:
    """The raw system call; OSError with its name when it fails."""
    if ARCHITECTURE not in _NUMBERS[name]:
        raise OSError(f"{name}: system call numbers of {ARCHITECTURE!r} are not known")
    return _check(_LIBC.syscall(ctypes.c_long(_NUMBERS[name][ARCHITECTURE]), *arguments), name)


def clone(flags: int) -> int:
    """Fork into new namespaces (`os.CLONE_*` bits in `flags`): the child's pid, and 0 in the child.

    Only for a process with a single thread. There no lock can be held by another, so nothing needs the mending that
    `os.fork` does in the child, which costs more than the fork.
    """
    zero = ctypes.c_long(0)
    return syscall("clone", ctypes.c_long(flags | signal.SIGCHLD), zero, zero, zero, zero)


def current_core() -> int:
    """Number of the core that the calling thread is on."""
    return _check(_LIBC.sched_getcpu(), "sched_getcpu")


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces."""
    _check(_LIBC.unshare(ctypes.c_int(flags)), "unshare")


def prctl(option: int, value: int = 0, pointer: bytes | None = None) -> int:
    """`prctl(option, value, pointer)`."""
    zero = ctypes.c_ulong(0)
    arguments = (ctypes.c_ulong(value), ctypes.c_char_p(pointer), zero, zero)
    return _check(_LIBC.prctl(ctypes.c_int(option), *arguments), f"prctl {option}")


def end_with_parent() -> None:
    """Get SIGTERM when the parent ends, on Linux; nothing elsewhere."""
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """`mount(2)`."""
    words = [word.encode() for word in (source, target, kind)]
    _check(_LIBC.mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount {kind or 'bind'} {target}")


def detach(target: str) -> None:
    """Unmount `target` and everything below it."""
    _check(_LIBC.umount2(target.encode(), ctypes.c_int(2)), f"umount {target}")


def protect_mount(path: str, attributes: int, *, recursive: bool) -> None:
    """Add `MOUNT_*` attributes to the mount at `path`, and to those below it if `recursive` (Linux 5.12)."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    syscall("mount_setattr", ctypes.c_int(_AT_FDCWD), path.encode(), ctypes.c_uint(flags), wanted, ctypes.c_size_t(32))


def pivot_root(path: str) -> None:
    """Make `path`, a mount, the root, and let go of the old one."""
    os.chdir(path)
    syscall("pivot_root", b".", b".")
    detach(".")
    os.chdir("/")


def drop_capabilities() -> None:
    """Give up every capability of the calling process."""
    syscall("capset", _OWN_CAPABILITIES, _NO_CAPABILITIES)
