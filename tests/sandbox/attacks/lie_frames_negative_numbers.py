"""Tries to upset the judge by handles, callbacks and places that are out of range.

must come out: wrong or cannot tell
tests: number
"""

import os
import struct


def send(kind, content):
    os.write(4, struct.pack("<Ic", len(content), kind) + content)


send(b"R", b'[["attack"], {"d": []}]')
for number in (-1, 2**31, 2**63, 10**30, True, None):
    text = str(number).replace("None", "null").replace("True", "true").encode()
    send(b"V", b'[{"h": [%s, "x", [], "object"]}, {"d": [[%s, 1]]}, %s]' % (text, text, text))
    send(b"C", b"[%s, [], {}]" % text)
os._exit(0)
