"""Tries to end or hang instead of being judged: abort.

must come out: wrong or cannot tell
"""

import os
os.abort()
