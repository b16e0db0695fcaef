"""Tries to end or hang instead of being judged: exit by thread.

must come out: wrong or cannot tell
"""

import os, threading
threading.Timer(0.05, os._exit, (0,)).start()
while True: pass
