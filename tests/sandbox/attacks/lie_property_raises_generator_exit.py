"""Tries to end the judge by GeneratorExit from a look at a value.

must come out: wrong or cannot tell
tests: number
"""

class Trap:
    def __getattribute__(self, name):
        raise GeneratorExit

    __eq__ = __hash__ = __len__ = __iter__ = __abs__ = __sub__ = __bool__ = __repr__ = __str__ = __getattribute__


def attack():
    return Trap()
