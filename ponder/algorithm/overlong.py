"""DAPO's soft length penalty: a reward for the last stretch before the length limit."""

__all__ = ["overlong_penalty"]


def overlong_penalty(length: int, max_tokens: int, buffer_ratio: float) -> float:
    """0 up to max_tokens - buffer, then falling linearly to -1 at max_tokens (arXiv 2503.14476, eq. 13).

    `length` counts the tokens of the output, `buffer_ratio` is the share of max_tokens in which the penalty grows
    (4,096 of 20,480 tokens in the paper). The result is added to the reward.
    """
    buffer = buffer_ratio * max_tokens
    return -min(max(length - (max_tokens - buffer), 0.0) / buffer, 1.0)
