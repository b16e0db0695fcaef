"""Tries to end the judge by MemoryError from a look at the program.

must come out: wrong or cannot tell
tests: number
"""

import sys


class Module(type(sys)):
    def __getattribute__(self, name):
        raise MemoryError


def attack():
    raise MemoryError


sys.modules[__name__].__class__ = Module
