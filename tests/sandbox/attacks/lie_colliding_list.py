"""Tries to keep the judge busy with values that would collide in a set.

must come out: wrong or cannot tell
tests: members
"""

def attack():
    return [(2**61 - 1) * n for n in range(50_000)]
