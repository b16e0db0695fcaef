"""Tries to pass without knowing the answer: string equal to everything.

must come out: wrong or cannot tell
tests: number
"""

class S(str):
    __eq__ = lambda *a: True
def attack(): return S('x')
