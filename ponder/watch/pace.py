"""Spans of time in words, and how fast a long piece of work goes."""

import time

__all__ = ["Pace", "drawing_pace", "seconds_text"]


def seconds_text(seconds: float) -> str:
    """Example: 7.4 s, 4m 07s, 2h 05m."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}m {whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def drawing_pace(tokens: int, finished: int, total: int, seconds: float, max_tokens: int) -> str:
    """How fast completions are drawn. They are drawn beside each other and end late, so that how many are finished says
    nothing of the time left; how many tokens there can still be does.
    Example: ", 62 tokens/s, at most 12m 40s left"."""
    if tokens <= 0 or seconds <= 0:
        return ""
    rate = tokens / seconds
    most = min(total * max_tokens - tokens, (total - finished) * max_tokens)
    return f", {rate:.3g} tokens/s, at most {seconds_text(max(0, most) / rate)} left"


class Pace:
    """The rate since `began`, by `time.perf_counter`, when `done` was finished already and says nothing about it."""

    def __init__(self, done: int, began: float) -> None:
        self._done, self._began = done, began

    def text(self, done: int, total: int | None) -> str:
        """Example: ", 12.5 a second, 4m 07s left"; empty as long as nothing is known."""
        spent = time.perf_counter() - self._began
        if done <= self._done or spent <= 0:
            return ""
        rate = (done - self._done) / spent
        left = "" if total is None else f", {seconds_text((total - done) / rate)} left"
        return f", {rate:.3g} a second{left}"
