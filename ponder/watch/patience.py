"""Whether held-out accuracy still rises."""

from collections.abc import Mapping
from math import isfinite

__all__ = ["why_stop"]


def why_stop(accuracies: Mapping[int, float], patience: int, least_gain: float) -> str | None:
    """Why training ends after these measurements by step, the first of which is where it began; None where it goes
    on. A gain lies above the best before by more than `least_gain`; what is no number says nothing."""
    best_step, best, waited = 0, float("-inf"), 0
    for step in sorted(step for step, accuracy in accuracies.items() if isfinite(accuracy)):
        if accuracies[step] > best + least_gain:
            best_step, best, waited = step, accuracies[step], 0
        else:
            waited += 1
        if waited >= patience:
            return (
                f"held-out pass@1 has not risen by more than {least_gain:g} above the {best:.3f} of step {best_step} "
                f"in {waited} measurements"
            )
    return None
