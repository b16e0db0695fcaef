"""Tries to end or hang instead of being judged: segmentation fault.

must come out: wrong or cannot tell
"""

import ctypes
ctypes.string_at(0)
