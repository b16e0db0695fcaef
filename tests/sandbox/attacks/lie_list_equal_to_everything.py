"""Tries to pass without knowing the answer: list equal to everything.

must come out: wrong or cannot tell
tests: number
"""

class L(list):
    __eq__ = lambda *a: True
def attack(): return L()
