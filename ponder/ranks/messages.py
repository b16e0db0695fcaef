"""Whole messages over a pipe whose other side may stand still: nothing here waits for it longer than it is told to.

The other side has a `Connection` of multiprocessing, so a message is written as that does: its length in four bytes, or
-1 and the length in eight where it is more than 2 GiB, and then its bytes.
"""

import os
import select
import struct
import time
from multiprocessing.connection import Connection

__all__ = ["Messages"]

_CHUNK = 1 << 20
_MOST_SHORT = 0x7FFFFFFF


class Messages:
    """This side of the pipe `link`, which nobody else uses from now on."""

    def __init__(self, link: Connection) -> None:
        os.set_blocking(link.fileno(), False)
        self._link = link
        self._read, self._unsent = bytearray(), bytearray()

    def send(self, message: bytes) -> None:
        """Send what the pipe takes now, and the rest while `receive` waits. That nobody is there `receive` sees."""
        short = len(message) <= _MOST_SHORT
        self._unsent += struct.pack("!i", len(message)) if short else struct.pack("!iQ", -1, len(message))
        self._unsent += message
        self._write()

    def receive(self, seconds: float) -> bytes | None:
        """The next message, or None where it is not whole after so many seconds. EOFError or ConnectionResetError where
        the other side is gone."""
        deadline = time.monotonic() + seconds
        left = seconds
        while (message := self._whole()) is None and left >= 0:
            self._move(left)
            left = deadline - time.monotonic()
        return message

    def close(self) -> None:
        """Close the pipe, which the other side sees."""
        self._link.close()

    def _move(self, seconds: float) -> None:
        """Read and write what can be within so many seconds."""
        poll = select.poll()
        poll.register(self._link.fileno(), select.POLLIN | (select.POLLOUT if self._unsent else 0))
        for _, event in poll.poll(seconds * 1000):
            if event & select.POLLOUT:
                self._write()
            if event & ~select.POLLOUT:
                chunk = os.read(self._link.fileno(), _CHUNK)
                if not chunk:
                    raise EOFError
                self._read += chunk

    def _write(self) -> None:
        try:
            del self._unsent[: os.write(self._link.fileno(), self._unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()

    def _whole(self) -> bytes | None:
        """The first message that was read, if all of it was."""
        if len(self._read) < 4:
            return None
        (size,), begin = struct.unpack_from("!i", self._read), 4
        if size == -1:
            if len(self._read) < 12:
                return None
            (size,), begin = struct.unpack_from("!Q", self._read, 4), 12
        if len(self._read) < begin + size:
            return None
        message = bytes(self._read[begin : begin + size])
        del self._read[: begin + size]
        return message
