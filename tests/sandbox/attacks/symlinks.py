"""Tries to reach files by links.

must come out: wrong
"""

import os
import sys
# try
os.symlink('/etc', 'link')
open('link/passwd')
# try
os.symlink('/proc', 'p')
open('p/self/environ')
# try
os.link('/usr/bin/env', '/tmp/env')
