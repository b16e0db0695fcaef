"""Tries system calls by the numbers of 32 bits.

must come out: wrong
"""

import os
import sys
import ctypes; libc = ctypes.CDLL(None, use_errno=True)
def call(n, *a):
    assert libc.syscall(n, *a) >= 0
# try
import mmap
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(bytes([0xB8, 2, 0, 0, 0, 0xCD, 0x80, 0xC3]))
fork = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
assert fork() > 0
