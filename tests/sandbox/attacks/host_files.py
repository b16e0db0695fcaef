"""Tries to read the machine's files.

must come out: wrong
limits without Landlock: right
"""

import os
import sys
# try
open('/etc/passwd')
# try
open('/proc/self/environ')
# try
open('/proc/1/cmdline')
# try
os.listdir('/proc')[0]
# try
os.listdir('/home')
# try
os.listdir('/root/.ssh')
# try
os.listdir('/sys')
# try
open('/var/log/dpkg.log')
