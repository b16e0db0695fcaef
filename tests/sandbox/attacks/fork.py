"""Tries to start a process.

must come out: cannot tell
"""

import os
import sys
# try
os.fork() or os._exit(0)
# try
import subprocess
subprocess.run(['/bin/true'], check=True)
