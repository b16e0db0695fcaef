"""Tries to end or hang instead of being judged: deep recursion.

must come out: wrong or cannot tell
"""

import sys
sys.setrecursionlimit(10 ** 9)
def f(): f()
f()
