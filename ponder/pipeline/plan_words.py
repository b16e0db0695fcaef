"""Numbers of a plan in words, and what several stages say alike."""

import math

from ponder.recipe.environment import Environment

__all__ = ["bytes_text", "count_text", "counted", "rounded", "time_text", "turns_line"]


def rounded(number: float) -> str:
    """Two digits are all that an estimate can promise."""
    digits = max(0, 1 - math.floor(math.log10(max(number, 0.01))))
    return f"{round(number, 1 - math.floor(math.log10(max(number, 0.01)))):,.{digits}f}"


def count_text(number: float) -> str:
    """Example: count_text(1.5e9) is "1.5 billion"."""
    for size, unit in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """Example: counted(2, "card") is "2 cards", counted(1, "pass") is "1 pass"."""
    many = "es" if noun.endswith(("s", "ch")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else many}"


def bytes_text(number: float) -> str:
    """Example: bytes_text(2**30) is "1 GiB"."""
    for size, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if number >= size:
            return f"{number / size:.3g} {unit}" if number < 1000 * size else f"{number / size:,.0f} {unit}"
    return f"{number / 1024:.0f} KiB"


def time_text(spent: float) -> str:
    """Example: time_text(600) is "10 min"."""
    if spent < 120:
        return f"{spent:.0f} s"
    if spent < 2 * 3600:
        return f"{spent / 60:.0f} min"
    return f"{spent / 3600:.1f} h" if spent < 72 * 3600 else f"{spent / 86400:.0f} days"


def turns_line(environment: Environment) -> tuple[str, str]:
    """What a stage says of who answers its model."""
    tools = ", ".join(environment.tools) or "no tools"
    own = f", answered by {environment.own}" if environment.own is not None else ""
    return "turns", f"at most {environment.turns} in a conversation, {tools}{own}; results count as tokens"
