"""Tries calls that change what the kernel shows.

must come out: wrong
"""

import os
import sys
import ctypes; libc = ctypes.CDLL(None, use_errno=True)
def call(n, *a):
    assert libc.syscall(n, *a) >= 0
# try
call(272, 0x10000000)
# try
call(165, b'none', b'/tmp', b'tmpfs', 0, 0)
# try
call(161, b'/')
# try
call(105, 0)
# try
call(425, 8, b'x' * 120)
# try
call(321, 0, 0, 0)
# try
call(319, b'x', 0)
# try
call(308, 0, 0)
# try
call(435, b'x' * 88, 88)
# try
call(0x40000000 + 39)
