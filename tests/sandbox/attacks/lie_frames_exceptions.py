"""Tries to upset the judge by exceptions without a class, a name or an end.

must come out: wrong or cannot tell
tests: number
"""

import os
import struct


def send(kind, content):
    os.write(4, struct.pack("<Ic", len(content), kind) + content)


send(b"R", b'[["attack"], {"d": []}]')
for lineage in (b"null", b'"builtins:SystemExit"', b'"builtins:BaseException"', b'"os:_exit"', b'"x"', b'[[0, "x", [0]]]', b'[["a"]]', b"[]"):
    send(b"E", b'[%s, "text", [], {"d": []}, null]' % lineage)
    send(b"X", b"[%s]" % lineage)
os._exit(0)
