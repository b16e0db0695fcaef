"""Tries to upset the judge by answers that have the wrong shape.

must come out: wrong or cannot tell
tests: number
"""

import os
import struct


def send(kind, content):
    os.write(4, struct.pack("<Ic", len(content), kind) + content)


send(b"R", b'[["attack"], {"d": []}]')
for content in (b"1", b"[]", b"{}", b"[1]", b"[1, 2, 3, 4, 5, 6]", b"null", b"[[], [], []]", b'["a", "b", "c"]'):
    for kind in (b"V", b"E", b"X", b"C", b"P", b"A", b"F", b"Q"):
        send(kind, content)
os._exit(0)
