"""Tries to end or hang instead of being judged: os._exit.

must come out: wrong or cannot tell
"""

import os
os._exit(0)
