"""Tries to keep the judge busy with a long decimal.

must come out: wrong or cannot tell
tests: number
"""

from decimal import Decimal


def attack():
    return Decimal("1" * 900_000 + "e99999")
