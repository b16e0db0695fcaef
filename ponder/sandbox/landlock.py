"""Landlock: without a mount namespace, the kernel can still refuse a process every file but the listed ones.

Needs no privilege, only Linux 5.13 with Landlock enabled. The list is made once, by the zygote, and put on each clone.
Signals and abstract sockets stay inside too from 6.12 on; below that, and without Landlock, the system call filter is
what keeps them in.
"""

import ctypes
import os
import stat
import struct

from ponder.sandbox.kernel import syscall

__all__ = ["allow_only", "landlock_version", "restrict_files"]

_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files, by the version that brought the newest."""
_EXECUTE, _READ_FILE, _LIST_FOLDER = 0b0001, 0b0100, 0b1000
_NETWORK_RIGHTS = 0b11
_SCOPES = 0b11
_VERSION_QUESTION = 1
_PATH_BENEATH = 1


def landlock_version() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    try:
        return syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_QUESTION))
    except OSError:
        return 0


def allow_only(paths: tuple[str, ...], hidden: tuple[str, ...], version: int) -> int:
    """A descriptor of rules, at most those of Landlock's `version`, by which what lies under `paths` can be read but
    not what lies under `hidden`, and nothing else. Names in folders above the hidden ones can be listed."""
    rights = max(mask for since, mask in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack("QQQ", rights, _NETWORK_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = syscall("landlock_create_ruleset", attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    real = {os.path.realpath(path) for path in paths}
    for path in sorted(real):
        if not any(path.startswith(f"{other}/") for other in real):  # what lies below another has its rule
            _allow(rules, path, hidden)
    return rules


def _allow(rules: int, path: str, hidden: tuple[str, ...]) -> None:
    """Rules hold for all that lies below: of a folder with a hidden one in it, the other parts are allowed singly."""
    if path in hidden:
        return
    split = any(other.startswith(f"{path}/") for other in hidden)
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, or not for this user: then it stays closed
    try:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        allowed = _LIST_FOLDER if split else _EXECUTE | _READ_FILE | (_LIST_FOLDER if folder else 0)
        rule = struct.pack("=Qi", allowed, handle)
        syscall("landlock_add_rule", ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
        parts = sorted(os.listdir(path)) if split else []
    finally:
        os.close(handle)
    for part in parts:
        whole = f"{path}/{part}"
        if not os.path.islink(whole):  # what it points to has rules of its own, or none
            _allow(rules, whole, hidden)


def restrict_files(rules: int) -> None:
    """Put the calling process, for good, under `rules`. It must have set no_new_privs. Descriptors that are open
    already stay usable."""
    syscall("landlock_restrict_self", ctypes.c_int(rules), ctypes.c_uint(0))
    os.close(rules)
