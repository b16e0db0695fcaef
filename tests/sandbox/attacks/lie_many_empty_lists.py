"""Tries to keep the judge busy with half a million lists.

must come out: wrong or cannot tell
tests: members
"""

def attack():
    return [[] for _ in range(300_000)]
