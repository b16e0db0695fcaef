"""Tries nothing: a lock on a file of its own is said to be had.

must come out: right
"""

import fcntl


def attack():
    with open("/usr/bin/env") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return "succeeded"
