"""What times on a machine of many cards assume, and from where."""

from dataclasses import dataclass, replace

from ponder.pipeline.cluster import Cluster
from ponder.pipeline.machine import TRAIN_SHARE
from ponder.recipe.rollout import EngineConfig

__all__ = ["PUBLISHED_ENGINE", "Assumed", "assumed_of"]

PUBLISHED_ENGINE = EngineConfig(kind="vllm", max_slots=512)
"""What R1's authors drew with (v2, B.1). How many rows an engine took is not stated: as many as each of 16 engines of
32 cards has of a rollout's 8,192."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What a time by placement assumes. Lengths are shares of the limit; `link` is bytes per second into one card;
    `resident` is the share of the training state that stays on a card while it samples, `again` the share of the
    backward passes that compute their layers' activations again.

    What starting operations takes at least was measured with a model of the form of Qwen2.5-0.5B on an H200
    (docs/scale.md): `step_seconds` for a step of decoding that plays a recording; `recording_seconds` for a rollout,
    which records each of its shapes (64 completions of at most 128 tokens took 3 to 7 s, of which 128 steps are one);
    `pass_seconds` for a forward and a backward pass, three times the 53.7 ms in which the operations of a forward pass
    are started one by one.
    """

    mean: float = 0.5
    longest: float = 1.0
    train_share: float = TRAIN_SHARE
    bandwidth_share: float = 0.6
    hop_seconds: float = 60e-6
    tokens_per_step: float = 1.0
    link: float = 10e9
    resident: float = 1.0
    again: float = 0.0
    step_seconds: float = 7.6e-3
    recording_seconds: float = 4.0
    pass_seconds: float = 0.16


def assumed_of(cluster: Cluster, *, as_published: bool) -> Assumed:
    """On this machine: several nodes hand weights over by their network. `as_published` are what R1's authors did: the
    model's own draft head gave 1.8 tokens a step (V3 report, 5.4.3), what one phase has no use for was moved off the
    cards (v2, B.1), no layer was computed again but norms and up-projections (V3 report, 3.2.3), and products took 0.39
    of the bf16 peak: 180,000 H800-hours for a trillion tokens (V3 report, 1) of 6 operations for each of 37 billion
    parameters and, at 4,096 tokens, a seventh more for attention (in FP8, for the most part)."""
    assumed = Assumed(link=2e9 if cluster.nodes > 1 else 10e9)
    return replace(assumed, tokens_per_step=1.8, resident=0.0, train_share=0.39) if as_published else assumed
