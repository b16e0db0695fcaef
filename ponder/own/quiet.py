"""Standard streams that own code can do no harm with: nothing to read, and a gigabyte printed goes nowhere."""

import faulthandler
import os
import sys
from typing import IO

__all__ = ["silence"]


def silence() -> IO[str]:
    """Put the null device behind standard input, output and error; returns the old standard error, which a crash of the
    interpreter still reaches."""
    words = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    faulthandler.enable(words)
    return words
