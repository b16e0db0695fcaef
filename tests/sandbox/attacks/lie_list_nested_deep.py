"""Tries to pass without knowing the answer: list nested deep.

must come out: wrong or cannot tell
tests: number
"""

def attack():
    a = []
    for _ in range(10 ** 5): a = [a]
    return a
