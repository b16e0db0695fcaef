"""Tries to pass without knowing the answer: integer equal to everything.

must come out: wrong or cannot tell
tests: number
"""

class I(int):
    __eq__ = __gt__ = __lt__ = lambda *a: True
def attack(): return I(0)
