"""A stage whose ranks were lost goes on from its last checkpoint, as the same command would."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ponder.errors import RankError
from ponder.manifest import step_folders
from ponder.stages.context import Context

__all__ = ["going_on"]

_TRIES = 3
"""Losses in a row without a checkpoint between them, after which it is left to a person."""


def going_on(context: Context[Any], run: Callable[[Context[Any]], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What `run` returns, begun anew whenever one of the processes that train is gone, or its memory ran out; then with
    passes of half the tokens, which all ranks agree on in this way. RankError when that does not help."""
    losses, last = 0, ""
    while True:
        try:
            return run(context)
        except RankError as error:
            smallest = context.config.batch.tokens_per_micro_batch == 1
            if error.cause == "fault" or (error.cause == "memory" and smallest):
                raise
            if error.cause == "gone":
                newest = max((folder.name for folder in step_folders(context.folder / "checkpoints")), default="")
                losses, last = (losses + 1 if newest == last else 1), newest
            if losses > _TRIES:
                raise RankError(
                    f"{error} That was {losses} times in a row without a checkpoint between. The same command goes on "
                    f"from the last one."
                ) from error
            if context.losses is not None:
                context.losses.lost("ranks", error.where, str(error).partition(". ")[0])
            context.say(f"{context.name}: WARNING: {error} All start again from the last checkpoint.")
            if error.cause == "memory":
                context = _with_smaller_passes(context)


def _with_smaller_passes(context: Context[Any]) -> Context[Any]:
    batch = context.config.batch.halved()
    context.say(
        f"{context.name}: passes of at most {batch.tokens_per_micro_batch} tokens from here on, which changes no result"
    )
    return dataclasses.replace(context, config=context.config.model_copy(update={"batch": batch}))
