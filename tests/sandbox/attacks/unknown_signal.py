"""Tries to end by a signal that has no name.

must come out: wrong or cannot tell
"""

import os

os.kill(os.getpid(), 40)
os._exit(0)
