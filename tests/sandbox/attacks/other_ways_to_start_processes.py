"""Tries every other way to start a process.

must come out: cannot tell
"""

import os
import sys
import ctypes; libc = ctypes.CDLL(None, use_errno=True)
def call(n, *a):
    assert libc.syscall(n, *a) >= 0
# try
call(58)
# try
call(56, 17, 0, 0, 0, 0)
# try
call(322, -100, b'/bin/true', 0, 0, 0)
# try
os.posix_spawn('/bin/true', ['true'], {})
# try
assert os.system('true') == 0
# try
import multiprocessing
multiprocessing.Process(target=print).start()
