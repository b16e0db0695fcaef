"""Tries to pass without knowing the answer: interrupt.

must come out: wrong or cannot tell
tests: number
"""

def attack(): raise KeyboardInterrupt
