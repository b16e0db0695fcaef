"""Frames between the tests and the program: a 4-byte length, one byte that says what it is, and the content."""

import os
import select
import struct
import time

__all__ = ["Channel", "ChannelClosedError"]

_HEADER = struct.Struct("<Ic")


class ChannelClosedError(Exception):
    """The other side is gone, or does not keep to the format."""


class Channel:
    """One end of a stream socket, used by read and write only. With a `deadline` (monotonic clock) no reading or
    writing lasts beyond it, and frames are at most `max_bytes` long."""

    def __init__(self, descriptor: int, *, deadline: float | None = None, max_bytes: int = 64 << 20) -> None:
        self.descriptor = descriptor
        self._deadline = deadline
        self._max_bytes = max_bytes
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
            raise ChannelClosedError(f"a frame of {size} bytes")
        return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(self.descriptor, min(size, 1 << 20))
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            if not part:
                raise ChannelClosedError("end of stream")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self, event: int) -> None:
        assert self._deadline is not None
        poll = select.poll()
        poll.register(self.descriptor, event)
        if not poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
            raise ChannelClosedError("out of time")
