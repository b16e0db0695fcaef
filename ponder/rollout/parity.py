"""Engine and trainer must agree about the tokens they share, or importance ratios are noise.

Both give a log-prob to every sampled token; with the same weights the two differ by rounding only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ponder.errors import ParityError

__all__ = ["PARITY_SAMPLES", "Parity", "check_parity", "spread"]

PARITY_SAMPLES = 64
"""Completions that say as much as a whole rollout: a model that the two sides compute differently is wrong in most
tokens, or from some length on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Absolute differences of log-probs in nats, over `tokens` tokens."""

    mean: float
    worst: float
    tokens: int


def spread(lengths: Sequence[int], count: int) -> list[int]:
    """Which `count` of the completions of these lengths to compare: at equal steps from the shortest to the longest,
    both included; all of them where there are no more."""
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    if len(by_length) <= count:
        return list(range(len(lengths)))
    return sorted(by_length[round(place)] for place in np.linspace(0, len(by_length) - 1, count))


def check_parity(
    token_ids: Sequence[Sequence[int]],
    engine: Sequence[Sequence[float]],
    trainer: Sequence[Sequence[float]],
    tolerance: float,
) -> Parity:
    """Compare the log-probs of the same completions; ParityError, naming the worst token, when their mean absolute
    difference exceeds `tolerance` nats or one of them is no number."""
    ids = np.concatenate([np.asarray(row) for row in token_ids])
    first, second = (np.concatenate([np.asarray(row, np.float64) for row in rows]) for rows in (engine, trainer))
    differences = np.abs(first - second)
    worst = int(np.argmax(np.where(np.isnan(differences), np.inf, differences)))
    parity = Parity(mean=float(differences.mean()), worst=float(differences[worst]), tokens=len(ids))
    if not parity.mean <= tolerance:
        row = int(np.searchsorted(np.cumsum([len(row) for row in token_ids]), worst, side="right"))
        raise ParityError(
            f"The engine's and the trainer's log-probs of {parity.tokens} sampled tokens differ by {parity.mean:.4g} "
            f"on average; expected at most {tolerance:g} (`engine.parity_tolerance`). The worst is token id "
            f"{ids[worst]} of completion {row}: {first[worst]:.4f} sampled, {second[worst]:.4f} recomputed. The two "
            f"sides do not compute the same distribution: try `precision: fp32`; if that does not help, the model is "
            f"not supported."
        )
    return parity
