"""Tries to import what is installed beside the standard library.

must come out: wrong
limits without Landlock: wrong or right
"""

import glob
import os
import sys

places = glob.glob("/usr/lib/python3*/*-packages/*") + glob.glob("/usr/local/lib/python3*/*-packages/*")
for path in list(sys.path):
    places += glob.glob(f"{path}/*-packages/*")
places += glob.glob(f"{os.path.dirname(os.__file__)}/*-packages/*")
# try
assert any(os.access(f"{place}/__init__.py", os.R_OK) and open(f"{place}/__init__.py").read(1) for place in places)
# try
sys.path += [os.path.dirname(place) for place in places]
import pip

assert pip.__file__
