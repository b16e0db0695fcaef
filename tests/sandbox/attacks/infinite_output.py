"""Tries to end or hang instead of being judged: infinite output.

must come out: wrong or cannot tell
"""

while True: print('passed' * 1000)
