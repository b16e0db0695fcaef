"""Tries to fill the reason with an exception of 900 kB.

must come out: wrong or cannot tell
tests: number
"""

class Long(Exception):
    pass


Long.__name__ = "L" * 10**5


def attack():
    raise Long("x" * 900_000)
