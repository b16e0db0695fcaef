"""Tries to have the kernel signal another process when a descriptor is ready.

must come out: wrong
"""

import fcntl
import os

F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY = 8, 10, 15, 1024, 1026
mine, other = os.pipe()
# try
fcntl.fcntl(mine, F_SETOWN, os.getppid())
# try
fcntl.fcntl(mine, F_SETOWN, -os.getpgid(0))
# try
fcntl.fcntl(mine, F_SETSIG, 9)
# try
fcntl.fcntl(mine, F_SETOWN_EX, bytes(8))
# try
fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC)
# try
fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
# try
fcntl.ioctl(mine, 0x5452, b"\1\0\0\0")  # FIOASYNC
# try
fcntl.ioctl(mine, 0x8901, os.getppid().to_bytes(4, "little"))  # FIOSETOWN
# try
fcntl.fcntl(os.open(os.__file__, os.O_RDONLY), F_SETLEASE, fcntl.F_RDLCK)
# try
fcntl.fcntl(os.open("/usr", os.O_RDONLY), F_NOTIFY, 1)
