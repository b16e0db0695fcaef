"""Tries to pass without knowing the answer: endless frame.

must come out: wrong or cannot tell
tests: number
"""

import os
os.write(4, b'\xff' * 5)
while True: os.write(4, b'x' * 1000)
