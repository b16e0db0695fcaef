"""The learning rate of a step: linear warm-up from 0, then constant, linear or cosine down to a share of the peak."""

import math

from ponder.recipe.training import Optimizer

__all__ = ["learning_rate"]


def learning_rate(optimizer: Optimizer, step: int, steps: int) -> float:
    """The rate of update `step`, counted from 0, of `steps` in all. The first update of a warm-up is not at 0, and the
    last update of a decay is at `final_lr_ratio` of the peak."""
    warmup = optimizer.warmup_steps
    if step < warmup:
        return optimizer.lr * (step + 1) / warmup
    progress = min(1.0, (step - warmup + 1) / max(1, steps - warmup))
    match optimizer.schedule:
        case "constant":
            share = 1.0
        case "linear":
            share = 1 - progress
        case "cosine":
            share = (1 + math.cos(math.pi * progress)) / 2
    floor = 1.0 if optimizer.schedule == "constant" else optimizer.final_lr_ratio
    return optimizer.lr * (floor + (1 - floor) * share)
