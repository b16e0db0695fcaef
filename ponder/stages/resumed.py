"""What a stage that was begun before says when it goes on: after which step, or that it has to begin again."""

from typing import Any

from ponder.stages.context import Context
from ponder.watch import read_metrics

__all__ = ["say_resumed"]


def say_resumed(context: Context[Any], step: int | None) -> None:
    """Say from which step's checkpoint it goes on, or with None how many steps are lost; before metrics are cut."""
    if step is not None:
        context.say(f"{context.name}: going on after step {step}")
    elif made := max((row["step"] or 0 for row in read_metrics(context.folder)), default=0):
        context.say(
            f"{context.name}: WARNING: beginning again at step 0, since no checkpoint is in "
            f"{str(context.folder / 'checkpoints')!r}: the {made:.0f} steps made before are lost"
        )
