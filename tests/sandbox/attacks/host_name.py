"""Tries to give the machine another name, and others its address.

must come out: wrong
limits without Landlock: wrong or right
"""

import socket

# try
socket.sethostname("mine")
# try
socket.gethostbyname("localhost") + open("/etc/hosts").read()
