"""Tries to pass without knowing the answer: forged handle of another class.

must come out: wrong or cannot tell
tests: number
"""

class Liar:
    def __getattr__(self, name): return Liar()
    def __call__(self, *a, **k): return Liar()
    def __bool__(self): return True
    def __hash__(self): return 0
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = lambda *a: True
    __contains__ = __instancecheck__ = lambda *a: True
    __sub__ = __rsub__ = __add__ = lambda self, other: 0.0
    __abs__ = lambda self: 0.0
import sys
values = sys.modules['ponder.sandbox.values']
values.dumps = lambda value, keep: b'[{"h": [0, "int", [0,1,2,3], "class"]}, {"d": []}, null]'
def attack(): return Liar()
