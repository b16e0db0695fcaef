"""What lies on the cards of those that train, and how few cards hold it."""

from collections.abc import Mapping

from ponder.pipeline.cluster import Cluster
from ponder.pipeline.memory import ALONE, Beside, Trained, gathered_bytes, largest_pass, memory
from ponder.pipeline.placed import why_one_rank
from ponder.pipeline.plan_words import bytes_text, counted
from ponder.pipeline.shape import Shape
from ponder.recipe.recompute import kept_bytes, recomputes, room_bytes

__all__ = ["at_rest", "computes_again", "rank_bytes", "rank_text", "smallest_machines"]

_SIZES = (24, 48, 80, 141, 192)
"""GB of cards that are sold."""
_MOST_CARDS = 8192
_OWN_COPY = "the run's own copy, on the first card"
_SCORERS = "reward models, on the first card"
_AT_REST = ("weights", "optimizer", "reference", "critic")
_FROZEN = (_OWN_COPY, _SCORERS)
_SHARDED = ("weights", "gradients", "optimizer", "reference")
_WHOLE = ("copies of a pass", "logits", "activations", "critic")


def rank_bytes(stage: Trained, shape: Shape, device_bytes: int, ranks: int, beside: Beside = ALONE) -> dict[str, int]:
    """Bytes on the first card, which has most, of as many as there are ranks, by what they are for, in an update."""
    bf16 = stage.precision != "fp32"
    room = room_bytes(device_bytes, shape.parameters, ranks)
    parts = memory(stage, shape, bf16=bf16, room=room, critic=beside.critic, scorers=beside.frozen)
    found = {name: parts[name] // ranks for name in _SHARDED if name in parts}
    found |= {name: parts[name] for name in _WHOLE if name in parts}
    if "reward models" in parts:
        found[_SCORERS] = parts["reward models"]
    if ranks > 1:
        found["gathered layers"] = gathered_bytes(shape)
        found[_OWN_COPY] = parts["weights"]
    return found


def smallest_machines(stage: Trained, shape: Shape, beside: Beside = ALONE) -> str:
    """Example: 12 cards of 24 GB, 5 of 48 GB, 3 of 80 GB, 2 of 141 GB, 1 of 192 GB."""
    found = [(size, _fewest(stage, shape, size * 10**9, beside)) for size in _SIZES]
    held = [f"{counted(count, 'card')} of {size} GB" for size, count in found if count is not None]
    none = [f"{size}" for size, count in found if count is None]
    without = f"; no number of cards of {' or '.join(none)} GB: what each holds whole is too much" if none else ""
    return (", or ".join(held) + without).removeprefix("; ")


def at_rest(parts: Mapping[str, int]) -> tuple[int, int]:
    """Bytes that are there between updates, too: of what a rank trains, and of what the first card has besides."""
    state, frozen = (sum(parts.get(name, 0) for name in names) for names in (_AT_REST, _FROZEN))
    return state, frozen


def computes_again(stage: Trained, shape: Shape, cluster: Cluster, ranks: int) -> bool:
    """Whether so many ranks compute the activations of their largest pass again."""
    kept = kept_bytes(shape, largest_pass(stage, shape), bf16=cluster.device.bf16(stage.precision))
    return recomputes(stage.batch.recompute, kept, room_bytes(cluster.device.memory_bytes, shape.parameters, ranks))


def rank_text(parts: Mapping[str, int], stage: Trained, cluster: Cluster) -> str:
    """Example: about 60 GiB of 74.5 GiB: activations 30 GiB, optimizer 15 GiB, ..."""
    total, there = sum(parts.values()), cluster.device.memory_bytes
    listed = ", ".join(f"{name} {bytes_text(size)}" for name, size in sorted(parts.items(), key=lambda one: -one[1]))
    context = stage.batch.context
    cut = f"; passes are shared by {context} ranks each (`batch.context`)" if context > 1 else ""
    return f"about {bytes_text(total)} of {bytes_text(there)}{'' if total <= there else ', too much'}: {listed}{cut}"


def _fewest(stage: Trained, shape: Shape, device_bytes: int, beside: Beside) -> int | None:
    """The fewest cards of so much memory of which each holds its part of an update; those of whole contexts."""
    context = stage.batch.context
    most = 1 if why_one_rank(stage) else _MOST_CARDS // context

    def fits(seats: int) -> bool:
        return sum(rank_bytes(stage, shape, device_bytes, seats * context, beside).values()) <= device_bytes

    low, high = 1, 1
    if fits(1):
        return context
    while high <= most and not fits(high):
        low, high = high, high * 2
    if high > most:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high * context
