"""Tries to pass without knowing the answer: huge text.

must come out: wrong or cannot tell
tests: number
"""

def attack(): return 'x' * 10 ** 8
