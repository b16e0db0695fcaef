"""Tries to start more threads than the limit, from many threads at once.

must come out: wrong
"""

import _thread
import time

started = []


def breed(depth):
    for _ in range(200):
        try:
            _thread.start_new_thread(breed, (depth + 1,))
            started.append(depth)
        except RuntimeError:
            break
    time.sleep(60)


_thread.stack_size(32768)
breed_first = _thread.start_new_thread(breed, (0,))
time.sleep(0.5)


def attack():
    return "succeeded" if len(started) >= 80 else "failed"
