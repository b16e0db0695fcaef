"""Tries to find the expected value in raw memory.

must come out: wrong or cannot tell
tests: leak
"""

import ctypes
def attack():
    libc = ctypes.CDLL(None)
    libc.sbrk.restype = ctypes.c_void_p
    end = libc.sbrk(0)
    part = 'needle-'.encode()
    for start in range(end - 4096, end - (1 << 23), -4096):
        page = ctypes.string_at(start, 4096)
        at = page.find(part)
        while at >= 0:
            if page[at + 7:at + 11].isdigit(): return page[at:at + 11].decode()
            at = page.find(part, at + 1)
