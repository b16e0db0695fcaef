"""Tries to end by a signal that has no name while it is asked.

must come out: wrong or cannot tell
"""

import os


def attack():
    os.kill(os.getpid(), 63)
