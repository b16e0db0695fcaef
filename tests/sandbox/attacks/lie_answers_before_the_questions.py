"""Tries to pass without knowing the answer: answers before the questions.

must come out: wrong or cannot tell
tests: number
"""

import os, struct
names = b'[["attack"], {"d": []}]'
answer = b'[true, {"d": []}, null]'
os.write(4, struct.pack('<Ic', len(names), b'R') + names)
for _ in range(100): os.write(4, struct.pack('<Ic', len(answer), b'V') + answer)
import time; time.sleep(0.3); os._exit(0)
