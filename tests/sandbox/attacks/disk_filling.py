"""Tries to end or hang instead of being judged: disk filling.

must come out: wrong or cannot tell
"""

import itertools
for n in itertools.count(): open(f'/tmp/{n}', 'wb').write(bytes(10 ** 6))
