"""Tries to pass without knowing the answer: endless questions.

must come out: wrong or cannot tell
tests: number
"""

import os, struct
names = b'[["attack"], {"d": []}]'
os.write(4, struct.pack('<Ic', len(names), b'R') + names)
while True: os.write(4, struct.pack('<Ic', 2, b'C') + b'[]')
