"""Tries an exception whose text, class and arguments raise.

must come out: wrong or cannot tell
tests: number
"""

class Broken(Exception):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__

    @property
    def args(self):
        raise MemoryError

    @property
    def __dict__(self):
        raise KeyboardInterrupt


def attack():
    raise Broken
