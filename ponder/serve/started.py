"""A server of one's own for `ponder chat MODEL`: started apart, and ended with whoever started it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ponder.errors import ModelError
from ponder.sandbox.kernel import end_with_parent
from ponder.serve.settings import address_in

__all__ = ["started"]

_END_SECONDS = 10.0


@contextmanager
def started(model: str) -> Iterator[str]:
    """The address of `ponder serve MODEL`; ModelError with what it says where it does not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ponder.cli", "serve", model, "port=0", "drain_seconds=0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the reply, not for the server
        preexec_fn=end_with_parent,
    )
    assert process.stderr is not None
    ending = threading.Event()
    try:
        yield _address(process.stderr, ending)
    finally:
        ending.set()
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(lines: IO[str], ending: threading.Event) -> str:
    said: list[str] = []
    for line in lines:
        if (address := address_in(line)) is not None:
            threading.Thread(target=_pass_on, args=(lines, ending), daemon=True).start()
            return address
        said.append(line)
    raise ModelError("".join(said).strip().removeprefix("ponder: ") or "the server ended without a word")


def _pass_on(lines: IO[str], ending: threading.Event) -> None:
    """What it says later, such as that it is short of memory, is said here."""
    for line in lines:
        if not ending.is_set():
            print(line, end="", file=sys.stderr, flush=True)
