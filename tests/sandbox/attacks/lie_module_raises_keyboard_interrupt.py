"""Tries to end the judge by KeyboardInterrupt from a look at the program.

must come out: wrong or cannot tell
tests: number
"""

import sys


class Module(type(sys)):
    def __getattribute__(self, name):
        raise KeyboardInterrupt


def attack():
    raise KeyboardInterrupt


sys.modules[__name__].__class__ = Module
