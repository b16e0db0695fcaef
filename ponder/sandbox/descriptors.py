"""Descriptors for one run: they are closed whatever happens, and hold nothing that outlasts it."""

import contextlib
import os
from collections.abc import Iterator

__all__ = ["held", "memory_file", "null_device"]


@contextlib.contextmanager
def held(number: int) -> Iterator[int]:
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def null_device() -> Iterator[int]:
    with held(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) as number:
        yield number


@contextlib.contextmanager
def memory_file(content: bytes = b"") -> Iterator[int]:
    """An anonymous file in memory, read from its start."""
    with held(os.memfd_create("ponder", os.MFD_CLOEXEC)) as number:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(number, rest) :]
        os.lseek(number, 0, os.SEEK_SET)
        yield number
