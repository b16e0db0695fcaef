"""Tries to end or hang instead of being judged: kill itself.

must come out: wrong or cannot tell
"""

import os
os.kill(os.getpid(), 9)
os._exit(0)
