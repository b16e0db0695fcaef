"""Tries to pass without knowing the answer: stopped.

must come out: wrong or cannot tell
tests: number
"""

import os, signal
def attack(): os.kill(os.getpid(), signal.SIGSTOP)
