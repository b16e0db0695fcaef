"""Tries to end the judge by GeneratorExit from a look at the program.

must come out: wrong or cannot tell
tests: number
"""

import sys


class Module(type(sys)):
    def __getattribute__(self, name):
        raise GeneratorExit


def attack():
    raise GeneratorExit


sys.modules[__name__].__class__ = Module
