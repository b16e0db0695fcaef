"""Frames between the tests and the program: a 4-byte length, one byte that says what it is, and the content."""

import os
import struct

__all__ = ["Channel", "ChannelClosedError"]

_HEADER = struct.Struct("<Ic")
_MAX_FRAME = 64 << 20


class ChannelClosedError(Exception):
    """The other side is gone, or does not keep to the format."""


class Channel:
    """One end of a stream socket, used by read and write only."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Write one frame."""
        rest = memoryview(_HEADER.pack(len(content), kind) + content)
        while rest:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except OSError as error:
                raise ChannelClosedError(str(error)) from None

    def receive(self) -> tuple[bytes, bytes]:
        """Read one frame: what it is and its content."""
        size, kind = _HEADER.unpack(self._read(_HEADER.size))
        if size > _MAX_FRAME:
            raise ChannelClosedError(f"a frame of {size} bytes")
        return kind, self._read(size)

    def _read(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = os.read(self.descriptor, min(size, 1 << 20))
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            if not part:
                raise ChannelClosedError("end of stream")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
