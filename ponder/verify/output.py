"""Whether what a program printed is what was expected."""

import math
from typing import Literal

__all__ = ["same_output"]

_RELATIVE, _ABSOLUTE = 1e-6, 1e-9


def same_output(printed: bytes, expected: str, comparison: Literal["exact", "tokens", "numeric"]) -> bool:
    """`exact`: the same bytes, a final line break aside. `tokens`: the same words in the same order, however spaced.
    `numeric`: as tokens, and words that are finite numbers agree within 1e-6 of their size (1e-9 near zero)."""
    wanted = expected.encode(errors="replace")
    if comparison == "exact":
        return printed.removesuffix(b"\n") == wanted.removesuffix(b"\n")
    ours, theirs = printed.split(), wanted.split()
    if comparison == "tokens":
        return ours == theirs
    return len(ours) == len(theirs) and all(_close(a, b) for a, b in zip(ours, theirs, strict=True))


def _close(printed: bytes, expected: bytes) -> bool:
    if printed == expected:
        return True
    try:
        ours, theirs = float(printed), float(expected)
    except ValueError:
        return False
    return math.isfinite(theirs) and math.isclose(ours, theirs, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
