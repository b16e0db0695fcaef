"""Tries to raise its own limits.

must come out: wrong
"""

import os
import sys
# try
import resource
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
# try
import resource
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
