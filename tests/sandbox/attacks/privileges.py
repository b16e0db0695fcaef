"""Tries to gain or use privileges.

must come out: wrong
"""

import os
import sys
# try
os.setgroups([])
# try
os.chroot('/tmp')
# try
os.nice(-1)
# try
os.setpriority(0, 0, -5)
