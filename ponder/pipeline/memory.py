"""Memory of a stage from the shapes of its model and batch alone: what lies on a device, in which phase.

Counted is what the code keeps: trained weights in float32 with a gradient and two moments each; beside them, where
products are bf16, their copies, which a pass holds for its backward pass (those of one layer where activations are
computed again); a reference as its products take it; the activations of the largest pass; keys and values at every
row's limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ponder.recipe.recompute import activation_bytes, kept_bytes, recomputes
from ponder.recipe.shape import Shape
from ponder.recipe.stages import PretrainStage, RewardModelStage, RlStage, SftStage

__all__ = [
    "ALONE",
    "PROMPT_TOKENS",
    "Beside",
    "Trained",
    "each_rank",
    "frozen_bytes",
    "gathered_bytes",
    "largest_pass",
    "longest_example",
    "memory",
    "peak",
    "phases",
    "sampling_memory",
]

PROMPT_TOKENS = 200
"""Assumed length of a prompt."""

_FP32 = 4
_BF16 = 2
_LOGIT_COPIES = 3  # logits, their softmax and its gradient
_CPU_LOGITS = 1 << 20  # `policy.logprobs` goes by blocks of the vocabulary there
_DRAWN_COPIES = 2  # logits as they come, and what is drawn from
_ONLY_IN_SAMPLING = ("KV cache", "logits drawn from", "bf16 copies")
_ONLY_IN_UPDATES = ("gradients", "logits", "activations", "copies of a pass")
_AHEAD = "drawing ahead"
_SHARDED = ("weights", "gradients", "optimizer", "reference")

Trained = RlStage | PretrainStage | SftStage | RewardModelStage
"""The kinds of stage that train."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Models beside the one that a stage trains, all in the run's process: the `critic`, which is trained, too, the
    reward models, each of which scores the completions of its route, and the `judges`, which write."""

    critic: Shape | None = None
    reward_models: tuple[Shape, ...] = ()
    judges: tuple[Shape, ...] = ()

    @property
    def frozen(self) -> tuple[Shape, ...]:
        """Those that are only held."""
        return self.reward_models + self.judges


ALONE = Beside()
"""No other models."""


def memory(
    stage: Trained,
    shape: Shape,
    *,
    bf16: bool,
    bf16_cache: bool = False,
    scorers: Sequence[Shape] = (),
    critic: Shape | None = None,
    on_cpu: bool = False,
    room: int | None = None,
    cache_bytes: int | None = None,
) -> dict[str, int]:
    """Bytes on the device by what they are for, not all of them at the same time: see `phases`. `scorers` are the
    reward models that an RL stage asks, `critic` the critic that it trains; `bf16_cache` says whether keys and values
    of sampling are bf16, too; `room` is what activations may take, by which `batch.recompute: auto` is decided,
    `cache_bytes` what keys and values may."""
    trained = shape.parameters
    if isinstance(stage, SftStage) and stage.lora is not None:
        # A linear module of n inputs and m outputs gets rank x (n + m): over all of them about the inputs kept.
        trained = stage.lora.rank * shape.kept
    parts = {
        "weights": shape.parameters * _FP32,
        "gradients": trained * _FP32,
        "optimizer": trained * 2 * _FP32,
    }
    tokens = largest_pass(stage, shape)
    again = recomputes(stage.batch.recompute, kept_bytes(shape, tokens, bf16=bf16), room)
    if bf16:
        parts["copies of a pass"] = shape.linear * _BF16 // (shape.layers if again else 1)
    if not isinstance(stage, RewardModelStage):
        parts["logits"] = _logits(min(stage.batch.logprob_chunk, tokens), shape, on_cpu) * _FP32 * _LOGIT_COPIES
    if scorers:
        parts["reward models"] = sum(frozen_bytes(one, bf16=bf16) for one in scorers)
    if critic is not None:
        # Weights and moments; its gradients are there when the policy's are gone, as activations are.
        parts["critic"] = critic.parameters * 3 * _FP32 + (critic.linear * _BF16 if bf16 else 0)
    if isinstance(stage, RlStage):
        longest = stage.longest_completion() + PROMPT_TOKENS
        slots = min(stage.engine.max_slots, stage.problems_per_step * stage.updates_per_rollout * stage.group_size)
        parts |= _drawing(shape, slots, longest, bf16=bf16, bf16_cache=bf16_cache, most=cache_bytes)
        if bf16:
            parts["bf16 copies"] = shape.linear * _BF16
        if stage.engine.lag > 0:  # each rollout under way has the weights that draw it
            parts[_AHEAD] = stage.engine.lag * parts["weights"]
        if stage.objective.kl_coefficient > 0:
            parts["reference"] = frozen_bytes(shape, bf16=bf16)
    parts["activations"] = activation_bytes(shape, tokens, bf16=bf16, recompute=again)
    return parts


def frozen_bytes(shape: Shape, *, bf16: bool) -> int:
    """A model that nothing trains, in which linear modules and an output projection of its own are kept as products
    take them (`policy.storage`)."""
    multiplied = shape.linear + shape.head
    return shape.parameters * _FP32 - (multiplied * (_FP32 - _BF16) if bf16 else 0)


def phases(parts: Mapping[str, int]) -> dict[str, int]:
    """Bytes that are there at the same time: while sampling, whose cache is freed before an update, and in an
    update; all of them where one draws ahead beside the other."""
    everything = sum(parts.values())
    if _AHEAD in parts:
        return {"sampling beside an update": everything}
    found = {}
    if any(name in parts for name in _ONLY_IN_SAMPLING):
        found["sampling"] = everything - sum(parts.get(name, 0) for name in _ONLY_IN_UPDATES)
    if any(name in parts for name in _ONLY_IN_UPDATES):
        found["update"] = everything - sum(parts.get(name, 0) for name in _ONLY_IN_SAMPLING)
    return found


def peak(parts: Mapping[str, int]) -> int:
    """Bytes at the worst moment."""
    return max(phases(parts).values())


def each_rank(parts: Mapping[str, int], ranks: int, gathered_bytes: int = 0) -> int:
    """Bytes of one of several processes that train together: its part of what is sharded, its own passes, and what
    these gather for a moment. Copies of weights for products are whole on each: a pass holds them for its backward
    pass."""
    sharded = sum(parts.get(name, 0) for name in _SHARDED)
    own = sum(parts.get(name, 0) for name in ("logits", "activations", "copies of a pass"))
    return sharded // ranks + own + gathered_bytes


def gathered_bytes(shape: Shape) -> int:
    """What a pass of a rank gathers: embeddings and output projection for all of it, with their gradients, and of the
    layers the one at work, the next, and the gradients of the one."""
    outside = shape.vocabulary * shape.hidden + shape.head
    return (2 * outside + 3 * shape.largest_layer) * _FP32


def largest_pass(stage: Trained, shape: Shape, context: int | None = None) -> int:
    """Most tokens that go through the model together in a process: a longer sequence has a pass of its own, which
    `context` of them share, None for as many as the stage says."""
    shared = stage.batch.context if context is None else context
    budget = stage.batch.tokens_per_micro_batch
    match stage:
        case PretrainStage():
            return min(budget, -(-stage.tokens_per_step // shared))
        case RlStage():
            longest = stage.longest_completion() + PROMPT_TOKENS
        case SftStage():
            longest = longest_example(stage, shape)
        case RewardModelStage():
            longest = (2 if stage.loss == "pairwise" else 1) * stage.max_tokens
    return max(budget, -(-longest // shared))


def longest_example(stage: SftStage, shape: Shape) -> int:
    """The stage's limit; without one and without a known window what R1 took."""
    return stage.max_tokens or shape.window or 32768


def sampling_memory(
    shape: Shape,
    *,
    slots: int,
    max_tokens: int,
    bf16: bool,
    bf16_cache: bool = False,
    cache_bytes: int | None = None,
) -> dict[str, int]:
    """Bytes on the device by what they are for where nothing is trained; keys and values take at most `cache_bytes`.
    Judges and rewriters come on top."""
    longest = max_tokens + PROMPT_TOKENS
    drawing = _drawing(shape, slots, longest, bf16=bf16, bf16_cache=bf16_cache, most=cache_bytes)
    return {"weights": frozen_bytes(shape, bf16=bf16)} | drawing


def _drawing(
    shape: Shape, slots: int, longest: int, *, bf16: bool, bf16_cache: bool, most: int | None
) -> dict[str, int]:
    cache = slots * longest * shape.cached * (_BF16 if bf16_cache else _FP32)
    return {
        "KV cache": cache if most is None else min(cache, most),
        "logits drawn from": slots * shape.vocabulary * _FP32 * _DRAWN_COPIES
        + (shape.vocabulary * shape.hidden * _BF16 if bf16 else 0),
    }


def _logits(rows: int, shape: Shape, on_cpu: bool) -> int:
    whole = rows * shape.vocabulary
    return min(whole, _CPU_LOGITS) if on_cpu else whole
