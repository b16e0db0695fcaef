"""Frames between the tests and the program: a 4-byte length, one byte that says what it is, and the content."""

import os
import select
import struct
import time

__all__ = ["Channel", "ChannelClosedError", "FrameTooLargeError"]

_HEADER = struct.Struct("<Ic")
_CHUNK_BYTES = 1 << 16


class ChannelClosedError(Exception):
    """The other side is gone, or does not keep to the format."""


class FrameTooLargeError(ChannelClosedError):
    """The other side sends more at once than this one takes."""


class Channel:
    """One end of a stream socket, used by read and write only. With a `deadline` (monotonic clock) no reading or
    writing lasts beyond it, and frames are at most `max_bytes` long."""

    def __init__(self, descriptor: int, *, deadline: float | None = None, max_bytes: int = 64 << 20) -> None:
        self.descriptor = descriptor
        self.deadline = deadline
        self._max_bytes = max_bytes
        self._pending = bytearray()
        self._poll = select.poll()
        if deadline is not None:
            os.set_blocking(descriptor, False)

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Write one frame."""
        rest = memoryview(_HEADER.pack(len(content), kind) + content)
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)
            except OSError as error:
                raise ChannelClosedError(str(error)) from None

    def receive(self) -> tuple[bytes, bytes]:
        """Read one frame: what it is and its content."""
        size, kind = _HEADER.unpack(self._read(_HEADER.size))
        if size > self._max_bytes:
            raise FrameTooLargeError(f"a frame of {size} bytes")
        return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        while len(self._pending) < size:
            if self.deadline is not None:
                self._wait(select.POLLIN)
            try:
                part = os.read(self.descriptor, _CHUNK_BYTES)
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            if not part:
                raise ChannelClosedError("end of stream")
            self._pending += part
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    def _wait(self, event: int) -> None:
        assert self.deadline is not None
        self._poll.register(self.descriptor, event)
        if not self._poll.poll(max(0.0, self.deadline - time.monotonic()) * 1000):
            raise ChannelClosedError("out of time")
