"""Tries to pass without knowing the answer: patched harness.

must come out: wrong or cannot tell
tests: number
"""

import sys
for name, module in list(sys.modules.items()):
    if name.startswith('ponder'):
        for key, value in list(vars(module).items()):
            if callable(value): setattr(module, key, lambda *a, **k: True)
def attack(): return True
