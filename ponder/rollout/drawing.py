"""How one token is drawn, and what is told of the others that could have been."""

from dataclasses import dataclass

from ponder.errors import DataError

__all__ = ["PLAIN", "Drawing", "Likeliest"]

Likeliest = tuple[tuple[int, float], ...]
"""Tokens and their log-probs, the most likely first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How one row is sampled where rows differ: as `Sampling` says, and without the tokens less likely than `min_p`
    times the most likely one."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        """Raises DataError for what is no distribution."""
        for name, value, right, expected in (
            ("temperature", self.temperature, 0 <= self.temperature < float("inf"), "a number from 0 on"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k, self.top_k >= 0, "0, which keeps all, or a count"),
            ("min_p", self.min_p, 0 <= self.min_p <= 1, "from 0 to 1"),
        ):
            if not right:
                raise DataError(f"Sampling with {name} {value} is impossible: it must be {expected}.")


PLAIN = Drawing()
