"""Tries to pass without knowing the answer: list in itself.

must come out: wrong or cannot tell
tests: number
"""

def attack():
    a = []
    a.append(a)
    return a
