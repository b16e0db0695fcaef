"""How long a rollout and its updates take on many cards, from what is assumed of cards, links and lengths.

Sampling is that of `decoding`. Training is counted in products: 6 per active parameter and token, 2 for each pass that
only looks and for what is computed again, and as many times those of attention, which grow with the square of a length;
a pass takes no less than starting its operations does.
"""

import math
from dataclasses import dataclass

from ponder.pipeline.assumed import Assumed
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.decoding import Engine, drawn
from ponder.pipeline.memory import ALONE, PROMPT_TOKENS, Beside
from ponder.recipe.shape import Shape
from ponder.recipe.stages import RlStage
from ponder.recipe.training import BatchLimits

__all__ = ["Course", "Stretch", "course", "engine_of", "forward", "stretches", "update_seconds"]

_HOST = 25e9
"""Bytes per second between a card and its host's memory."""


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
    """Seconds of all rollouts: `tail` are those of `sampling` in which rows have run out while the longest go on;
    `training` has the scores of reward models, too. Sampling without room for a completion is infinite. `ahead` says
    whether other cards sample than train, at the same time."""

    sampling: float
    training: float
    sync: float
    tail: float
    ahead: bool = False

    @property
    def wall(self) -> float:
        """What a clock says."""
        return self.side_by_side if self.ahead else self.in_turn

    @property
    def in_turn(self) -> float:
        """Where the same cards sample and train."""
        return self.sampling + self.training + self.sync

    @property
    def side_by_side(self) -> float:
        """Where one rollout is drawn while the one before is trained."""
        return max(self.sampling + self.sync, self.training)


def engine_of(stage: RlStage, shape: Shape, cluster: Cluster, held_bytes: int = 0) -> Engine:
    """The engine that draws for a stage beside `held_bytes` of training on each card."""
    bf16 = cluster.device.bf16(stage.precision)
    return Engine(shape=shape, cluster=cluster, config=stage.engine, bf16=bf16, held_bytes=held_bytes)


def course(
    stage: RlStage,
    shape: Shape,
    cluster: Cluster,
    assumed: Assumed,
    *,
    sampling_cards: int,
    training_cards: int,
    state_bytes: int = 0,
    frozen_bytes: int = 0,
    beside: Beside = ALONE,
) -> Course:
    """The time of a stage of which so many cards sample and so many train; they may be the same ones, of which each
    then has `state_bytes` of training, and the first one `frozen_bytes` that the host has, too: nobody need save
    them."""
    engine = engine_of(stage, shape, cluster, round(assumed.resident * (state_bytes + frozen_bytes)))
    looks = (stage.objective.kl_coefficient > 0) + (stage.objective.mismatch_cap is not None)
    scored = max((forward(one, 0) for one in beside.reward_models), default=0.0)
    peak = cluster.peak(bf16=engine.bf16) * assumed.train_share
    sampling = training = tail = rollouts = 0.0
    for one in stretches(stage):
        draw = drawn(engine, assumed, completions=one.completions, limit=one.limit, cards=sampling_cards)
        sampling += one.rollouts * draw.seconds
        tail += one.rollouts * draw.tail
        mean = one.limit * assumed.mean
        tokens = one.completions * mean + one.prompts * PROMPT_TOKENS
        update = update_seconds(
            stage.batch,
            shape,
            cluster,
            assumed,
            bf16=engine.bf16,
            tokens=tokens / stage.updates_per_rollout,
            length=mean + PROMPT_TOKENS,
            ranks=training_cards,
            looks=looks,
            critic=beside.critic,
        )
        # A completion is scored by the reward model of its route, if any, on the card of the run's process.
        scores = scored * one.completions * (mean + PROMPT_TOKENS) / peak
        training += one.rollouts * (stage.updates_per_rollout * update + scores)
        rollouts += one.rollouts
    moved = 2 * (1 - assumed.resident) * state_bytes / _HOST
    return Course(
        sampling=sampling,
        training=training,
        sync=rollouts * (engine.weights_bytes / engine.cards / assumed.link + moved),
        tail=tail,
    )


def update_seconds(
    batch: BatchLimits,
    shape: Shape,
    cluster: Cluster,
    assumed: Assumed,
    *,
    bf16: bool,
    tokens: float,
    length: float,
    ranks: int,
    looks: int = 0,
    critic: Shape | None = None,
) -> float:
    """An update of so many tokens, in sequences of `length`, of which `looks` passes beside it only look. A critic has
    a pass for its values and learns as the policy does."""
    passes = 3 + looks + assumed.again
    judged = 0.0 if critic is None else 4 + assumed.again
    products = tokens * (passes * forward(shape, length) + (judged * forward(critic, length) if critic else 0.0))
    packed = max(batch.tokens_per_micro_batch * batch.context, length)
    rounds = math.ceil(math.ceil(tokens / packed) / max(1, ranks // batch.context))
    started = rounds * assumed.pass_seconds * (passes + judged) / 3
    return max(products / (cluster.peak(bf16=bf16) * assumed.train_share * ranks), started)


def forward(shape: Shape, length: float) -> float:
    """Operations of a forward pass for a token in a sequence of `length`, half of which it sees on average."""
    return 2 * shape.active + shape.pair * length / 2
