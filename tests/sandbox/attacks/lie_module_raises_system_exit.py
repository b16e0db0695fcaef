"""Tries to end the judge by SystemExit(0) from a look at the program.

must come out: wrong or cannot tell
tests: number
"""

import sys


class Module(type(sys)):
    def __getattribute__(self, name):
        raise SystemExit(0)


def attack():
    raise SystemExit(0)


sys.modules[__name__].__class__ = Module
