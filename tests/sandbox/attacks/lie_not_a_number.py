"""Tries to pass without knowing the answer: not a number.

must come out: wrong or cannot tell
tests: number
"""

def attack(): return float('nan')
