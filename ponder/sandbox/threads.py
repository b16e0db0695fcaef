"""How many threads a program may have where it has no user namespace of its own, in which the kernel would count.

    clone: ask_first()  --descriptor-->  zygote: Gate, each time the program wants one more thread

The kernel asks the holder of the descriptor about every `clone` and waits for the answer. The system call filter comes
on top: of the two the stricter counts, so this can only refuse.
"""

import ctypes
import errno
import fcntl
import math
import os
import select
import socket
import struct

from ponder.sandbox.kernel import syscall
from ponder.sandbox.seccomp import asking_filter

__all__ = ["Gate", "ask_first"]

_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND
_NOTICE_BYTES = 80
_NOTICE, _RESPONSE = struct.Struct("QI"), struct.Struct("Qqii")  # number, thread; number, value, error, go on


def ask_first(line: socket.socket, most: int) -> None:
    """Have the kernel ask, from now on, before the calling process starts a thread, of which it may have `most`. The
    gate at the other end of `line` answers. The process must have set no_new_privs (Linux 5.5)."""
    program = asking_filter()
    address = ctypes.cast(ctypes.c_char_p(program), ctypes.c_void_p).value
    header = struct.pack("HxxxxxxP", len(program) // 8, address)
    listener = syscall("seccomp", ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_NEW_LISTENER), header)
    socket.send_fds(line, [b"%d" % most], [listener])
    os.close(listener)
    line.close()


class Gate:
    """The zygote's side. Descriptors are watched by `poll`; `proc` is /proc."""

    def __init__(self, poll: "select.poll", proc: int) -> None:
        self._poll, self._proc = poll, proc
        self._lines: dict[int, socket.socket] = {}  # by descriptor
        self._most: dict[int, int] = {}  # by descriptor of a listener
        self._owned: dict[int, int] = {}  # number of the clone -> its descriptor

    def expect(self, number: int, line: socket.socket) -> None:
        """Clone `number` will send its descriptor along `line`."""
        self._lines[line.fileno()] = line
        self._watch(number, line.fileno())

    def turn(self, descriptor: int, event: int) -> None:
        """Do what there is to do at one of the descriptors."""
        if descriptor in self._most and event & select.POLLIN:
            _answer(descriptor, self._proc, self._most[descriptor])
            return
        number = next(n for n, owned in self._owned.items() if owned == descriptor)
        listeners: list[int] = []
        if descriptor in self._lines and event & select.POLLIN:
            message, listeners, _, _ = socket.recv_fds(self._lines[descriptor], 16, 1)
        self.drop(number)
        for listener in listeners:
            self._most[listener] = int(message)
            self._watch(number, listener)

    def drop(self, number: int) -> None:
        """Clone `number` has ended, or has no more to say here."""
        descriptor = self._owned.pop(number, None)
        if descriptor is None:
            return
        self._poll.unregister(descriptor)
        if descriptor in self._lines:
            self._lines.pop(descriptor).close()
        else:
            del self._most[descriptor]
            os.close(descriptor)

    def _watch(self, number: int, descriptor: int) -> None:
        self._owned[number] = descriptor
        self._poll.register(descriptor, select.POLLIN)


def _answer(listener: int, proc: int, most: int) -> None:
    """Answer one question: yes, as long as the process has fewer than `most` threads."""
    notice = bytearray(_NOTICE_BYTES)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
        number, thread = _NOTICE.unpack_from(notice)
        more = _threads(thread, proc) < most
        fcntl.ioctl(listener, _SEND, _RESPONSE.pack(number, 0, 0 if more else -errno.EAGAIN, int(more)))
    except OSError:
        return  # whoever asked is gone


def _threads(thread: int, proc: int) -> float:
    """Threads of the process that `thread` belongs to; where /proc hides it, too many."""
    try:
        return os.stat(f"{thread}/task", dir_fd=proc).st_nlink - 2
    except OSError:
        return math.inf
