"""Tries to end or hang instead of being judged: faked failure of the sandbox.

must come out: wrong or cannot tell
"""

import os
os.write(2, b'sandbox: broken')
os._exit(117)
