"""Tries to become another program.

must come out: wrong
"""

import os
import sys
# try
os.execv('/bin/true', ['true'])
