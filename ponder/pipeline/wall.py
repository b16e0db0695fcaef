"""How long a rollout and its updates take on many cards, from what is assumed of cards, links and lengths.

Sampling goes by steps, of which a rollout has as many as its longest completion has tokens: each step reads the weights
from memory and crosses the links between an engine's cards, whoever is still running, and every running row adds its
products and its keys and values. So

    seconds = steps x (weights / bandwidth + links) + tokens x (products / peak + keys and values / bandwidth)

Training is counted in products: 6 per active parameter and token, 2 for each pass that only
looks.
"""

from dataclasses import dataclass, replace

from ponder.pipeline.cluster import Cluster
from ponder.pipeline.memory import PROMPT_TOKENS
from ponder.recipe.shape import Shape
from ponder.recipe.stages import RlStage

__all__ = ["Assumed", "Course", "Stretch", "assumed_of", "course", "engine_cards", "rows_that_fit", "stretches"]

_BF16 = 2
_WEIGHTS_SHARE = 0.6
"""Of an engine's memory weights may take so much; the rest is for keys and values."""
_USABLE = 0.9
_HOST = 25e9
"""Bytes per second between a card and its host's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What a time by placement assumes. Lengths are shares of the limit; `link` is bytes per second into one card;
    `resident` is the share of the training state that stays on a card while it samples."""

    mean: float = 0.5
    longest: float = 1.0
    train_share: float = 0.30
    bandwidth_share: float = 0.6
    hop_seconds: float = 60e-6
    tokens_per_step: float = 1.0
    link: float = 10e9
    resident: float = 1.0


def assumed_of(cluster: Cluster, *, as_published: bool) -> Assumed:
    """On this machine: several nodes hand weights over by their network. `as_published` are two things that R1's
    authors did (v2, B.1): the model's own draft head gave 1.8 tokens a step (V3 report, 5.4.3), and what one phase has
    no use for was moved off the cards."""
    assumed = Assumed(link=2e9 if cluster.nodes > 1 else 10e9)
    return replace(assumed, tokens_per_step=1.8, resident=0.0) if as_published else assumed


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """So many rollouts with one limit of length."""

    rollouts: float
    limit: int
    completions: int
    prompts: int


def stretches(stage: RlStage) -> list[Stretch]:
    """The rollouts of a stage by their limit."""
    changes = sorted({0, *(one.from_step for one in stage.sampling.length_schedule if one.from_step < stage.steps)})
    problems = stage.problems_per_step * stage.updates_per_rollout
    return [
        Stretch(
            rollouts=(end - start) / stage.updates_per_rollout,
            limit=stage.sampling.max_tokens_at(start),
            completions=problems * stage.group_size,
            prompts=problems,
        )
        for start, end in zip(changes, [*changes[1:], stage.steps], strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Seconds of all rollouts: `tail` are those of `sampling` in which rows have run out while the longest go on."""

    sampling: float
    training: float
    sync: float
    tail: float

    @property
    def in_turn(self) -> float:
        """Where the same cards sample and train."""
        return self.sampling + self.training + self.sync

    @property
    def side_by_side(self) -> float:
        """Where one rollout is drawn while the one before is trained."""
        return max(self.sampling + self.sync, self.training)


def course(
    stage: RlStage,
    shape: Shape,
    cluster: Cluster,
    assumed: Assumed,
    *,
    sampling_cards: int,
    training_cards: int,
    state_bytes: int = 0,
) -> Course:
    """The time of a stage of which so many cards sample and so many train; they may be the same ones, of which each
    then has `state_bytes` of training."""
    each = engine_cards(shape, cluster)
    engines = sampling_cards // each
    peak, bandwidth = cluster.peak_flops * assumed.train_share, cluster.bandwidth * assumed.bandwidth_share
    looks = (stage.objective.kl_coefficient > 0) + (stage.objective.mismatch_cap is not None)
    products = 6 + 2 * looks
    sampling = training = tail = rollouts = 0.0
    for one in stretches(stage):
        mean, longest = one.limit * assumed.mean, one.limit * max(assumed.longest, assumed.mean)
        rows = one.completions / engines
        at_once = min(rows, rows_that_fit(shape, cluster, round(mean), round(assumed.resident * state_bytes)))
        read = shape.parameters * (1 - (1 - min(1.0, shape.active / shape.parameters)) ** at_once) * _BF16
        hops = 2 * shape.layers * assumed.hop_seconds if each > 1 else 0.0
        step = (read / each / bandwidth + hops) / assumed.tokens_per_step
        kept = shape.latent * _BF16 * (mean / 2 + PROMPT_TOKENS)
        row = (2 * shape.active / peak + kept / bandwidth) / each
        full = rows * mean / at_once  # steps in which every row is taken
        drained = full + longest - mean
        spent = drained * step + rows * mean * row
        sampling += one.rollouts * spent
        tail += one.rollouts * (drained - full) * step
        tokens = one.completions * mean + one.prompts * PROMPT_TOKENS
        training += one.rollouts * products * shape.active * tokens / (peak * training_cards)
        rollouts += one.rollouts
    moved = 2 * (1 - assumed.resident) * state_bytes / _HOST
    return Course(
        sampling=sampling,
        training=training,
        sync=rollouts * (shape.parameters * _BF16 / each / assumed.link + moved),
        tail=tail,
    )


def engine_cards(shape: Shape, cluster: Cluster) -> int:
    """Cards of one engine: the fewest that hold the weights and leave room for keys and values."""
    each, weights = 1, shape.parameters * _BF16
    while each < cluster.count and weights > _WEIGHTS_SHARE * each * cluster.device.memory_bytes:
        each *= 2
    return min(each, cluster.count)


def rows_that_fit(shape: Shape, cluster: Cluster, tokens: int, held_bytes: int = 0) -> int:
    """Completions of so many tokens whose keys and values one engine holds at a time, beside `held_bytes` of something
    else on each of its cards; at least one."""
    each = engine_cards(shape, cluster)
    free = each * (_USABLE * cluster.device.memory_bytes - held_bytes) - shape.parameters * _BF16
    return max(1, int(free / (shape.latent * _BF16 * (tokens + PROMPT_TOKENS))))
