"""Tries to read the environment of the one who started it.

must come out: wrong
"""

import os
import sys
# try
os.environ['PONDER_TEST_SECRET']
# try
assert 'USER' in os.environ
