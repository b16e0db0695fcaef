"""Tries to end or hang instead of being judged: infinite loop.

must come out: wrong or cannot tell
"""

while True: pass
