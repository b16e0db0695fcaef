"""Tries to pass without knowing the answer: everything is an attribute.

must come out: wrong or cannot tell
tests: number
"""

class G:
    __getattribute__ = lambda *a: a[0]
def attack(): return G()
