"""Tries to end or hang instead of being judged: not a program.

must come out: wrong or cannot tell
"""

The answer is forty-two.
