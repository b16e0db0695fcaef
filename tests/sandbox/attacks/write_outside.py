"""Tries to write and change the machine's files.

must come out: wrong
"""

import os
import sys
# try
open('/usr/ponder-was-here', 'w')
# try
open('/ponder-was-here', 'w')
# try
os.mkdir('/etc/ponder-was-here')
# try
os.rename('/usr/bin/env', '/usr/bin/env2')
# try
os.chmod('/usr/bin', 0)
# try
os.truncate('/usr/bin/env', 0)
# try
open(os.__file__, 'a')
