"""Tries to end or hang instead of being judged: kill everything.

must come out: wrong or cannot tell
"""

import os
os.kill(-1, 9)
os._exit(0)
