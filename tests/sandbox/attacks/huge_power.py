"""Tries to end or hang instead of being judged: huge power.

must come out: wrong or cannot tell
"""

def attack(): return 9 ** 9 ** 9
