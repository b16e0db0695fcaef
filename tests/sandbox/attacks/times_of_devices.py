"""Tries to leave bits in the times of device files.

must come out: wrong
"""

import os

# try
os.utime("/dev/null")
# try
os.utime("/dev/zero", (5, 5))
# try
with open("/dev/full", "rb") as device:
    os.utime(device.fileno())
# try
os.chmod("/dev/null", 0o600)
