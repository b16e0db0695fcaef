"""Tries nothing: a program that does what it should is right.

must come out: right
"""

# try
1 + 1
