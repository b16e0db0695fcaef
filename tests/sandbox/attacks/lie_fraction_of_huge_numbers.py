"""Tries to keep the judge busy with a huge fraction.

must come out: wrong or cannot tell
tests: number
"""

from fractions import Fraction


def attack():
    return Fraction(3**300_000, 7**100_000)
