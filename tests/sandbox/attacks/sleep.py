"""Tries to end or hang instead of being judged: sleep.

must come out: wrong or cannot tell
"""

import time
time.sleep(100)
