"""A stage that is trained longer than it was first asked to: the step where it ended becomes one of many.

What only an end has (all samples of held-out problems, a validation loss that was not due) is taken back, and what a
longer run has at that step is measured instead, so that in the end the folder is that of a run of as many steps.
"""

from typing import Any

from ponder.recipe.training import Optimizer
from ponder.stages.context import Context

__all__ = ["is_continued", "say_longer", "without"]


def is_continued(context: Context[Any], step: int, steps: int) -> bool:
    """Whether training goes on here after a step at which a shorter run stood."""
    return step in context.continued and step < steps


def say_longer(context: Context[Any], optimizer: Optimizer, step: int, steps: int, *others: str) -> None:
    """Say whether `steps` steps from the start would give the same, and if not, why: `others` say what else differs."""
    why = list(others)
    first = optimizer.warmup_steps + 1
    if optimizer.schedule != "constant" and optimizer.final_lr_ratio != 1 and first <= step:
        why.append(f"the learning rates of steps {first} to {step} fell towards an earlier end ({optimizer.schedule})")
    same = f"the result is that of {steps} steps from the start"
    context.say(
        f"{context.name}: trained longer, from step {step} to {steps}: "
        + (f"{same} but for this: {'; '.join(why)}" if why else same)
    )


def without(row: dict[str, float], *beginnings: str) -> dict[str, float]:
    """The row of metrics without the keys that begin so."""
    return {key: value for key, value in row.items() if not key.startswith(beginnings)}
