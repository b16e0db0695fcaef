"""Does a completion end in a loop? The way a small model's long thought most often fails."""

from collections.abc import Sequence

__all__ = ["ends_in_loop"]

_MIN_TURNS = 4  # a list of three like items is no loop
_MIN_TOKENS = 24  # nor is "......" or a row of digits
_MAX_PERIOD = 128


def ends_in_loop(token_ids: Sequence[int]) -> bool:
    """Whether the last tokens repeat one sequence of at most 128 tokens at least four times over at least 24 tokens.

    Give the ids without the stop token: a model that leaves its loop by stopping was still in one.
    """
    for period in range(1, min(_MAX_PERIOD, len(token_ids) // _MIN_TURNS) + 1):
        span = max(_MIN_TOKENS, _MIN_TURNS * period)
        if span > len(token_ids) or token_ids[-1] != token_ids[-1 - period]:
            continue
        tail = token_ids[-span:]
        if tail[period:] == tail[:-period]:
            return True
    return False
