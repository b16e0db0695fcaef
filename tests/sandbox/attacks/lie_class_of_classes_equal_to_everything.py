"""Tries to pass without knowing the answer: class of classes equal to everything.

must come out: wrong or cannot tell
tests: number
"""

class M(type):
    __eq__ = lambda *a: True
    __hash__ = lambda s: 41728
class attack(metaclass=M):
    def __new__(c, *a): return c
