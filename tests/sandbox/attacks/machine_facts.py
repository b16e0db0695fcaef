"""Tries to learn how busy the machine is.

must come out: wrong
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
# try
assert libc.sysinfo(ctypes.create_string_buffer(512)) == 0
# try
os.getloadavg()
# try
assert os.getpid() != 1 and os.sched_getaffinity(1)
# try
assert os.getppid() and os.getpgid(os.getppid())
