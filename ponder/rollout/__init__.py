"""Sampling completions, and turning problems into groups of judged rollouts."""

from ponder.rollout.collect import Collected, Refill, collect
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
from ponder.rollout.sampler import Drawing

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
    "collect",
    "engine_kind",
    "open_engine",
    "spread",
]
