"""Tries to pass without knowing the answer: float equal to everything.

must come out: wrong or cannot tell
tests: number
"""

class F(float):
    __eq__ = __gt__ = lambda *a: True
def attack(): return F('nan')
