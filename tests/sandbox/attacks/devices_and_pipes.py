"""Tries to make devices and named pipes.

must come out: wrong
"""

import os
import sys
# try
os.mkfifo('/x')
# try
os.mknod('/tmp/d', 0o60600, os.makedev(8, 0))
