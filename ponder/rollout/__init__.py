"""Sampling completions, and turning problems into groups of judged rollouts.

A name is loaded when it is asked for first, so that a server's process can speak of jobs without torch.
"""

from typing import TYPE_CHECKING

from ponder.lazy import lazy

if TYPE_CHECKING:
    from ponder.rollout.collect import Collected, Refill
    from ponder.rollout.drawing import Drawing
    from ponder.rollout.engine import (
        Bounds,
        Engine,
        GenerationState,
        Job,
        Load,
        OnFinish,
        OnProgress,
        OpenEngine,
        Piece,
        Request,
        check_fits,
    )
    from ponder.rollout.guide import Bias, Guide, GuideMaker
    from ponder.rollout.live import LiveEngine
    from ponder.rollout.local import LocalEngine
    from ponder.rollout.open import engine_kind, open_engine
    from ponder.rollout.parity import PARITY_SAMPLES, Parity, check_parity, spread

__all__ = [
    "PARITY_SAMPLES",
    "Bias",
    "Bounds",
    "Collected",
    "Drawing",
    "Engine",
    "GenerationState",
    "Guide",
    "GuideMaker",
    "Job",
    "LiveEngine",
    "Load",
    "LocalEngine",
    "OnFinish",
    "OnProgress",
    "OpenEngine",
    "Parity",
    "Piece",
    "Refill",
    "Request",
    "check_fits",
    "check_parity",
    "engine_kind",
    "open_engine",
    "spread",
]

_HOMES = {
    "collect": (
        "Collected",
        "Refill",
    ),
    "engine": (
        "Bounds",
        "Engine",
        "GenerationState",
        "Job",
        "Load",
        "OnFinish",
        "OnProgress",
        "OpenEngine",
        "Piece",
        "Request",
        "check_fits",
    ),
    "guide": (
        "Bias",
        "Guide",
        "GuideMaker",
    ),
    "live": ("LiveEngine",),
    "local": ("LocalEngine",),
    "open": (
        "engine_kind",
        "open_engine",
    ),
    "parity": (
        "PARITY_SAMPLES",
        "Parity",
        "check_parity",
        "spread",
    ),
    "drawing": ("Drawing",),
}
"""File -> the names of it that are asked for here."""

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _HOMES)
