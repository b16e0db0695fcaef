"""Tries to keep the judge busy with a set whose members collide.

must come out: wrong or cannot tell
tests: number
"""

def attack():
    return {(2**61 - 1) * n for n in range(20)} | set(range(20_000))
