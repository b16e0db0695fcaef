"""Tries to end or hang instead of being judged: faked verdict.

must come out: wrong or cannot tell
"""

import os
lines = (b'right\n', b'["secret", "done", true, ""]\n')
for n in range(1, 100):
    for text in lines:
        try: os.write(n, text)
        except OSError: pass
print('1 passed in 0.1s\nOK')
os._exit(0)
