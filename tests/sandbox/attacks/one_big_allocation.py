"""Tries to end or hang instead of being judged: one big allocation.

must come out: wrong or cannot tell
"""

x = bytearray(10 ** 11)
