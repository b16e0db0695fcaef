"""Tries exceptions that say that they are others.

must come out: wrong or cannot tell
tests: number
"""

class AssertionError(Exception):
    pass


for name, value in (("__module__", 7), ("__qualname__", "x"), ("__name__", "ProgramGoneError")):
    setattr(AssertionError, name, value)


def attack():
    raise AssertionError
