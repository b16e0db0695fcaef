"""Tries to end or hang instead of being judged: infinite loop that ignores signals.

must come out: wrong or cannot tell
"""

import signal
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except Exception: pass
while True: pass
