"""Tries to end or hang instead of being judged: sys.exit.

must come out: wrong or cannot tell
"""

import sys
sys.exit(0)
