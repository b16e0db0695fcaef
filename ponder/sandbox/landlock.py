"""Landlock: without a mount namespace, the kernel can still refuse a process every file but the listed ones.

Needs no privilege, only Linux 5.13 with Landlock enabled. Signals and abstract sockets stay inside too from 6.12 on.
"""

import ctypes
import os
import struct

from ponder.sandbox.kernel import syscall

__all__ = ["landlock_version", "restrict_files"]

_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files, by the version that brought the newest."""
_READ_FOLDER = 0b1101  # execute, read a file, list a folder
_READ_FILE = 0b0101
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


def restrict_files(paths: tuple[str, ...]) -> None:
    """Let the calling process, for good, read what lies under `paths` and nothing else. It must have set
    no_new_privs. Descriptors that are open already stay usable."""
    version = landlock_version()
    rights = max(mask for since, mask in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack("QQQ", rights, _NETWORK_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = syscall("landlock_create_ruleset", attributes, ctypes.c_size_t(size), ctypes.c_uint(0))
    for path in paths:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # not there, or not for this user: then it stays closed
        allowed = _READ_FOLDER if os.path.isdir(path) else _READ_FILE
        rule = struct.pack("=Qi", allowed, handle)
        syscall("landlock_add_rule", ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
        os.close(handle)
    syscall("landlock_restrict_self", ctypes.c_int(rules), ctypes.c_uint(0))
    os.close(rules)
