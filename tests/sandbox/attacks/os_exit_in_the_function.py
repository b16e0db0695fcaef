"""Tries to end or hang instead of being judged: os._exit in the function.

must come out: wrong or cannot tell
"""

import os
def attack(): os._exit(0)
