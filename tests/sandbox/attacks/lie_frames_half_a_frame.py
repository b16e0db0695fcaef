"""Tries to upset the judge by half a frame.

must come out: wrong or cannot tell
tests: number
"""

import os
import struct


def send(kind, content):
    os.write(4, struct.pack("<Ic", len(content), kind) + content)


send(b"R", b'[["attack"], {"d": []}]')
os.write(4, struct.pack("<Ic", 1000, b"V") + b"[")
os._exit(0)
