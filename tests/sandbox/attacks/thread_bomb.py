"""Tries to end or hang instead of being judged: thread bomb.

must come out: wrong or cannot tell
"""

import threading, time
while True: threading.Thread(target=time.sleep, args=(99,)).start()
