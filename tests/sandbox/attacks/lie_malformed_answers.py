"""Tries to pass without knowing the answer: malformed answers.

must come out: wrong or cannot tell
tests: number
"""

import os, struct
names = b'[["attack"], {"d": []}]'
os.write(4, struct.pack('<Ic', len(names), b'R') + names)
answer = b'[' * 100000
os.write(4, struct.pack('<Ic', len(answer), b'V') + answer)
os._exit(0)
