"""Tries to end or hang instead of being judged: close everything.

must come out: wrong or cannot tell
"""

import os
os.closerange(0, 100)
