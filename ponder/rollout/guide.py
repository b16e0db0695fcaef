"""What decides in one sample which tokens may come next, beside the model.

    GuideMaker (part of a job, travels between processes) -> Guide (state of one sample, lives beside its row)

What the model would draw is renormalised over the allowed tokens, so the log-probs of such a sample are not those of
the model alone, and its completion says that it was guided.

Shapes: V tokens that the model knows.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ponder.policy.voice import Voice

__all__ = ["Bias", "Guide", "GuideMaker"]

Bias = tuple[tuple[int, float], ...]
"""Tokens and what is added to the logit of each; minus infinity bans one."""


class Guide(Protocol):
    """The state of one sample."""

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, as (V,). None at all means that the sample cannot go on: it fails."""
        ...

    def take(self, token: int) -> None:
        """This one came. It is an allowed one."""
        ...


class GuideMaker(Protocol):
    """What a job brings: makes a guide for each of its samples. Has to be picklable."""

    def open(self, voice: Voice, size: int) -> Guide:
        """A guide that has seen nothing yet, for a model of `size` tokens. Raises DataError where there can be
        none."""
        ...
