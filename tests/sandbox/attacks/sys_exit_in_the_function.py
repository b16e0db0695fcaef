"""Tries to end or hang instead of being judged: sys.exit in the function.

must come out: wrong or cannot tell
"""

import sys
def attack(): sys.exit(0)
