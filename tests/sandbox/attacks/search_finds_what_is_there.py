"""Tries what the search of objects tries, where there is something to find: the search works.

must come out: right
tests: leak
"""

hidden = ['needle-8273']

import gc, os, sys, types
def look(value, seen, depth):
    if id(value) in seen or depth == 0: return None
    seen.add(id(value))
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode('latin-1')
        at = text.find('needle-')
        return text[at:at + 11] if at >= 0 and text[at + 7:at + 8].isdigit() else None
    if isinstance(value, types.FrameType): parts = [value.f_locals, value.f_globals, value.f_code.co_consts]
    else: parts = gc.get_referents(value)
    for part in parts:
        found = look(part, seen, depth - 1)
        if found: return found
def attack():
    frame, seen = sys._getframe(), set()
    while frame is not None:
        found = look(frame, seen, 50)
        if found: return found
        frame = frame.f_back
    for value in gc.get_objects():
        found = look(value, seen, 3)
        if found: return found
    for path in ('/proc/self/mem', '/proc/self/maps', '/proc/self/fd', '/proc/1/mem', '/tmp', '.'):
        try: found = look(open(path, 'rb').read(), seen, 2)
        except Exception: found = None
        if found: return found
