"""Tries to reach the network.

must come out: wrong
"""

import os
import sys
# try
import socket
socket.create_connection(('127.0.0.1', int(open('/tmp/none').read())))
# try
import socket
socket.socket(socket.AF_INET)
# try
import socket
socket.socket(socket.AF_UNIX)
# try
import urllib.request
urllib.request.urlopen('http://127.0.0.1')
