"""Tries to signal other processes.

must come out: wrong
"""

import os
import sys
# try
assert os.getppid()
os.kill(os.getppid(), 9)
# try
os.kill(999999, 0)
