"""Tries to keep the judge busy with tuples that would collide in a set.

must come out: wrong or cannot tell
tests: members
"""

def attack():
    return [(1000003 * n, complex(1000003.0 * n, -n)) for n in range(20_000)]
