"""Tries to start more threads than the limit, with small stacks.

must come out: wrong
"""

import threading
import time

threading.stack_size(32768)
started = 0
try:
    while started < 3000:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        started += 1
except RuntimeError:
    pass


def attack():
    return "succeeded" if started >= 40 else f"{started} threads"
