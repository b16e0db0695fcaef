"""Tries to upset the judge by frames of every kind there is.

must come out: wrong or cannot tell
tests: number
"""

import os
import struct


def send(kind, content):
    os.write(4, struct.pack("<Ic", len(content), kind) + content)


send(b"R", b'[["attack"], {"d": []}]')
for kind in range(256):
    send(bytes([kind]), b"[]")
os._exit(0)
