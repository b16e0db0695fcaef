"""Tries nothing: threads that end make room for others.

must come out: right
"""

from concurrent.futures import ThreadPoolExecutor


def attack():
    total = 0
    for _ in range(5):
        with ThreadPoolExecutor(32) as pool:
            total += sum(pool.map(int, range(100)))
    return "succeeded" if total == 5 * 4950 else "failed"
