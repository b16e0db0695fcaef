"""Tries to end or hang instead of being judged: memory bomb.

must come out: wrong or cannot tell
"""

x = []
while True: x.append('x' * 10 ** 6 + str(len(x)))
