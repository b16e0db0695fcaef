"""Tries nothing: a program may signal itself.

must come out: right
"""

import os
import signal

seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
os.kill(os.getpid(), signal.SIGUSR1)
signal.raise_signal(signal.SIGUSR1)


def attack():
    return "succeeded" if len(seen) == 2 else "failed"
