"""Tries to pass without knowing the answer: huge number.

must come out: wrong or cannot tell
tests: number
"""

def attack(): return -(10 ** 5000)
