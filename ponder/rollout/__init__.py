"""Sampling completions, and turning problems into groups of judged rollouts."""

from ponder.rollout.collect import Collected, Refill, collect
from ponder.rollout.engine import Engine, GenerationState, OnFinish, OnProgress, Request, check_fits
from ponder.rollout.local import LocalEngine
from ponder.rollout.open import open_engine
from ponder.rollout.parity import PARITY_SAMPLES, Parity, check_parity, spread

__all__ = [
    "PARITY_SAMPLES",
    "Collected",
    "Engine",
    "GenerationState",
    "LocalEngine",
    "OnFinish",
    "OnProgress",
    "Parity",
    "Refill",
    "Request",
    "check_fits",
    "check_parity",
    "collect",
    "open_engine",
    "spread",
]
