"""Which system calls a program may make: a list of allowed ones, everything else fails with EPERM.

The filter is a classic BPF program over `struct seccomp_data` (number, architecture, instruction pointer, six 64-bit
arguments). It is built once per flavour and installed by `prctl` after the clone.
"""

import ctypes
import os
import struct
from functools import cache

from ponder.sandbox.kernel import ARCHITECTURE, prctl

__all__ = ["asking_filter", "build_filter", "install_filter"]

_CALLS = {
    # name: (x86_64, aarch64)
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "close": (3, 57), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None),
    "newfstatat": (262, 79), "statx": (332, 291), "lseek": (8, 62), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "open": (2, None), "openat": (257, 56), "readlink": (89, None), "readlinkat": (267, 78),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "symlink": (88, None), "symlinkat": (266, 36), "link": (86, None),
    "linkat": (265, 37), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "utimensat": (280, 88),
    "ftruncate": (77, 46), "truncate": (76, 45), "fsync": (74, 82), "fdatasync": (75, 83), "dup": (32, 23),
    "dup2": (33, None), "dup3": (292, 24), "fcntl": (72, 25), "flock": (73, 32), "pipe": (22, None), "pipe2": (293, 59),
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "socketpair": (53, 199), "sendto": (44, 206), "recvfrom": (45, 207), "shutdown": (48, 210), "mmap": (9, 222),
    "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "membarrier": (324, 283), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132),
    "tgkill": (234, 131), "kill": (62, 129), "pause": (34, None), "alarm": (37, None), "setitimer": (38, 103),
    "getitimer": (36, 102), "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153),
    "getrusage": (98, 165), "getrlimit": (97, None), "prlimit64": (302, 261), "uname": (63, 160),
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150),
    "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "setsid": (112, 157),
    "setpgid": (109, 154), "futex": (202, 98), "set_robust_list": (273, 99), "set_tid_address": (218, 96),
    "rseq": (334, 293), "arch_prctl": (158, None), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "getrandom": (318, 278), "exit": (60, 93), "exit_group": (231, 94),
    "wait4": (61, 260), "waitid": (247, 95), "restart_syscall": (219, 128), "umask": (95, 166), "ioctl": (16, 29),
    "prctl": (157, 167), "clone": (56, 220), "clone3": (435, 435), "fork": (57, None), "vfork": (58, None),
    "execve": (59, 221), "execveat": (322, 281), "fadvise64": (221, 223), "sendfile": (40, 71),
    "copy_file_range": (326, 285), "close_range": (436, 436),
}  # fmt: skip
_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_ALLOW, _ASK, _ERRNO, _KILL = 0x7FFF0000, 0x7FC00000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

_CLONE_THREAD, _CLONE_NAMESPACES = 0x00010000, 0x7E020000
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_OWN_CONTROLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX: what a program may ask of, or set on, its own descriptors."""
_OWN_COMMANDS = (0, 1, 2, 3, 1030, 1032)
"""F_DUPFD F_GETFD F_SETFD F_GETFL F_DUPFD_CLOEXEC F_GETPIPE_SZ. Of all others of fcntl some send signals to any process
of the user (F_SETOWN, F_SETSIG, leases, notices), and locks are seen by everyone who can open the file."""
_F_SETFL, _O_ASYNC = 4, 0x2000
_LOCKS = (6, 7, 37, 38)  # F_SETLK F_SETLKW F_OFD_SETLK F_OFD_SETLKW
_FUTEX_PRIVATE, _FUTEX_WAITS = 128, (0, 9, 256, 265)
"""Processes that map the same file could wake each other; to wait is enough for joining a thread."""
_NAMING = (15, 16)  # PR_SET_NAME, PR_GET_NAME
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_CHANGES_FILES = frozenset({
    "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "symlink", "symlinkat",
    "link", "linkat", "chmod", "fchmod", "fchmodat", "utimensat", "truncate",
})  # fmt: skip
_CHANGES_SESSION = frozenset({"setsid", "setpgid"})
_STARTS_PROCESS, _STARTS_PROGRAM = frozenset({"fork", "vfork"}), frozenset({"execve", "execveat"})


@cache
def build_filter(processes: bool, programs: bool, own_pid: int | None) -> bytes:
    """The BPF program. `processes` may be started, other `programs` may be become; `own_pid` is given where there are
    no namespaces: then a program may signal and name only itself, may not leave its session or change any file."""
    column = list(_AUDIT_ARCHITECTURE).index(ARCHITECTURE)
    code = [
        _statement(_LOAD, 4),
        _jump(_EQUAL, _AUDIT_ARCHITECTURE[ARCHITECTURE], 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, 0),
        _jump(_AT_LEAST, _X32_BIT, 0, 1),
        _statement(_RETURN, _KILL),
    ]
    allowed = []
    for name, numbers in _CALLS.items():
        number = numbers[column]
        body = _body(name, processes, programs, own_pid)
        if number is not None and body == _yes():
            allowed.append(number)
        elif number is not None and body:
            code += [_jump(_EQUAL, number, 0, len(body)), *body]
    return b"".join([*code, *_search(_bounds(allowed))])


@cache
def asking_filter() -> bytes:
    """A filter that has the kernel ask about each `clone` and allows everything else."""
    number = _CALLS["clone"][list(_AUDIT_ARCHITECTURE).index(ARCHITECTURE)]
    assert number is not None
    ask = [_jump(_EQUAL, number, 0, 1), _statement(_RETURN, _ASK)]
    return b"".join([_statement(_LOAD, 0), *ask, *_yes()])


def _bounds(allowed: list[int]) -> list[tuple[int, int]]:
    """First number and verdict of each run of numbers with the same verdict, in order, from 0 on."""
    bounds = [(0, _ERRNO | _EPERM)]
    for number in sorted(allowed):
        if bounds[-1][0] == number:
            bounds[-1] = (number, _ALLOW)
            if len(bounds) > 1 and bounds[-2][1] == _ALLOW:
                bounds.pop()
        else:
            bounds.append((number, _ALLOW))
        bounds.append((number + 1, _ERRNO | _EPERM))
    return bounds


def _search(bounds: list[tuple[int, int]]) -> list[bytes]:
    """Binary search: the kernel tries a new filter on every system call there is, which takes a list longer than all
    the rest of installing it."""
    if len(bounds) == 1:
        return [_statement(_RETURN, bounds[0][1])]
    middle = len(bounds) // 2
    below, above = _search(bounds[:middle]), _search(bounds[middle:])
    return [_jump(_AT_LEAST, bounds[middle][0], len(below), 0), *below, *above]


def _body(name: str, processes: bool, programs: bool, own_pid: int | None) -> list[bytes]:
    """What to do about one system call; nothing means that it falls through to EPERM."""
    shared = own_pid is not None
    if name in _STARTS_PROCESS:
        return _yes() if processes else []
    if name in _STARTS_PROGRAM:
        return _yes() if programs else []
    if shared and name in _CHANGES_FILES | _CHANGES_SESSION:
        return []
    match name:
        case "clone" if processes:
            return _without_bits(0, _CLONE_NAMESPACES)
        case "clone":
            threads = _jump(_ANY_BIT, _CLONE_THREAD, 0, 2)
            return [_argument(0), threads, _jump(_ANY_BIT, _CLONE_NAMESPACES, 1, 0), *_yes(), *_no()]
        case "clone3":  # its flags are behind a pointer; the C library then falls back to clone
            return [_statement(_RETURN, _ERRNO | _ENOSYS)]
        case "open" if shared:
            return _without_bits(1, _WRITING)
        case "openat" if shared:
            return _without_bits(2, _WRITING)
        case "kill" | "tgkill" if own_pid is not None:
            return _one_of(0, (own_pid,))
        case "getpgid" | "getsid" | "sched_getaffinity" if own_pid is not None:
            return _one_of(0, (0, own_pid))
        case "prlimit64":
            return _one_of(0, (0,))
        case "socketpair":
            return _one_of(0, (1,))
        case "sendto":  # only along a connection: no address
            return [_argument(4), _jump(_EQUAL, 0, 1, 0), *_no(), _argument(4, high=True), *_equal_or_no(0)]
        case "ioctl":
            return _one_of(1, _OWN_CONTROLS)
        case "fcntl":
            return _fcntl()
        case "futex":
            private = [_argument(1), _jump(_ANY_BIT, _FUTEX_PRIVATE, 0, 1), *_yes()]
            return [*private, *_one_of(1, _FUTEX_WAITS)]
        case "flock":
            return _done()
        case "prctl":
            return _one_of(0, _NAMING)
        case _:
            return _yes()


def _fcntl() -> list[bytes]:
    code = [_argument(1)]
    for lock in _LOCKS:
        code += [_jump(_EQUAL, lock, 0, 1), *_done()]
    flags = [_argument(2), _jump(_ANY_BIT, _O_ASYNC, 1, 0), *_yes(), *_no()]
    return [*code, _jump(_EQUAL, _F_SETFL, 0, len(flags)), *flags, *_one_of(1, _OWN_COMMANDS)]


def install_filter(program: bytes) -> None:
    """Put the calling process under the filter for good. It must have set no_new_privs."""
    address = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
    header = struct.pack("HxxxxxxP", len(program) // 8, address)
    prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _argument(index: int, *, high: bool = False) -> bytes:
    return _statement(_LOAD, 16 + 8 * index + 4 * high)


def _yes() -> list[bytes]:
    return [_statement(_RETURN, _ALLOW)]


def _done() -> list[bytes]:
    """Say that it is done and do nothing: a lock in a program that shares its files with nobody."""
    return [_statement(_RETURN, _ERRNO)]


def _no() -> list[bytes]:
    return [_statement(_RETURN, _ERRNO | _EPERM)]


def _equal_or_no(value: int) -> list[bytes]:
    return [_jump(_EQUAL, value, 0, 1), *_yes(), *_no()]


def _one_of(index: int, values: tuple[int, ...]) -> list[bytes]:
    code = [_argument(index)]
    for value in values:
        code += [_jump(_EQUAL, value, 0, 1), *_yes()]
    return code + _no()


def _without_bits(index: int, bits: int) -> list[bytes]:
    return [_argument(index), _jump(_ANY_BIT, bits, 1, 0), *_yes(), *_no()]
