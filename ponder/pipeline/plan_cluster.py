"""What a stage that trains would do on a machine of many cards: what lies where, who samples and who trains, how long
it takes, what each assumption does to that, and the smallest machine that holds it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

from ponder.errors import ModelError
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.estimate import seconds, work
from ponder.pipeline.forecast import Forecast, Line
from ponder.pipeline.measured import find_measured
from ponder.pipeline.memory import PROMPT_TOKENS, Trained, gathered_bytes, largest_pass, longest_completion, memory
from ponder.pipeline.plan_words import bytes_text, rounded, time_text
from ponder.pipeline.survey import Standing
from ponder.pipeline.wall import Assumed, Course, assumed_of, course, engine_cards, rows_that_fit
from ponder.recipe.recipe import Recipe
from ponder.recipe.recompute import activation_bytes, kept_bytes, recomputes, room_bytes
from ponder.recipe.shape import Shape, check_context
from ponder.recipe.stages import RlStage

__all__ = ["best_split", "in_turn", "on_cluster", "rank_bytes", "sensitivity", "smallest_machines"]

_SIZES = (24, 48, 80, 141, 192)
"""GB of cards that are sold."""
_MOST_CARDS = 8192
_REPLACED = ("memory", "phases", "ranks", "time")
_BOUNDS = {"mean": (0.0, 1.0), "longest": (0.0, 1.0), "train_share": (0.0, 1.0), "bandwidth_share": (0.0, 1.0),
           "tokens_per_step": (1.0, math.inf)}  # fmt: skip
_AT_REST = ("weights", "optimizer", "reference")
_SHARDED = ("weights", "gradients", "optimizer", "reference")
_SAID = {
    "mean": "{:.0%} of the limit is a mean completion",
    "longest": "{:.0%} of the limit is the longest of a rollout",
    "train_share": "{:.0%} of the peak in products of training and of many rows",
    "bandwidth_share": "{:.0%} of the memory bandwidth in sampling",
    "hop_seconds": "{:.0e} s for each of two exchanges a layer between an engine's cards",
    "tokens_per_step": "{:.1f} tokens a step",
    "link": "{:.1e} bytes/s into each card for new weights",
    "resident": "{:.0%} of the training state stays on a card that samples",
}


def on_cluster(
    recipe: Recipe, standing: Standing, out: Path, shape: Shape, told: Forecast, cluster: Cluster, context: int | None
) -> Forecast:
    """`told`, with what is said of memory and time said of the cluster, and its time on all of its cards. ModelError
    for a placement that cannot be."""
    stage = standing.stage
    assert isinstance(stage, Trained), stage
    if context is None:
        context = stage.batch.context
    else:
        check_context(shape.heads, stage.reads(), context, "--context")
    ranks = _ranks(standing.name, stage, cluster)
    lines: list[Line] = [line for line in told.lines if line[0] not in _REPLACED]
    lines.append(("machine", f"{cluster.name}, {ranks} ranks that train"))
    lines.append(_rank_line(stage, shape, cluster, ranks, context))
    if not isinstance(stage, RlStage):
        lines.append(("smallest", smallest_machines(stage, shape, context)))
        trained = seconds(work(stage, recipe.stages, shape, 0, None), shape, cluster.device) / ranks
        if told.seconds is not None:
            lines.append(("time", f"roughly {time_text(trained)} on {ranks} cards"))
        return replace(told, lines=tuple(lines), wall=None if told.seconds is None else trained)
    assumed = _assumed(recipe, standing, out, stage, cluster)
    lines.append(_engine_line(stage, shape, cluster))
    lines.append(("smallest", smallest_machines(stage, shape, context)))
    turn = in_turn(stage, shape, cluster, assumed, ranks)
    lines += list(_time_lines(turn, cluster, ranks))
    lines += list(_split_lines(stage, shape, cluster, assumed))
    lines += [("assumed", text) for text in sensitivity(stage, shape, cluster, assumed, ranks)]
    return replace(told, lines=tuple(lines), wall=turn.in_turn)


def rank_bytes(stage: Trained, shape: Shape, device_bytes: int, ranks: int, context: int = 1) -> dict[str, int]:
    """Bytes on the card of one of so many ranks, by what they are for, in an update. `context` ranks share a
    sequence."""
    bf16 = stage.precision != "fp32"
    room = room_bytes(device_bytes, shape.parameters, ranks)
    parts = memory(stage, shape, bf16=bf16, room=room)
    tokens = largest_pass(stage, shape, context)
    again = recomputes(stage.batch.recompute, kept_bytes(shape, tokens, bf16=bf16), room)
    found = {name: parts[name] // ranks for name in _SHARDED if name in parts}
    found |= {name: parts[name] for name in ("copies of a pass", "logits") if name in parts}
    found["activations"] = activation_bytes(shape, tokens, bf16=bf16, recompute=again)
    if ranks > 1:
        found["gathered layers"] = gathered_bytes(shape)
    return found


def smallest_machines(stage: Trained, shape: Shape, context: int = 1) -> str:
    """Example: 12 cards of 24 GB, 5 of 48 GB, 3 of 80 GB, 2 of 141 GB, 1 of 192 GB."""
    found = [(size, _fewest(stage, shape, size * 10**9, context)) for size in _SIZES]
    held = [f"{count:,} card{'s' if count > 1 else ''} of {size} GB" for size, count in found if count is not None]
    none = [f"{size}" for size, count in found if count is None]
    without = f"; no number of cards of {' or '.join(none)} GB: what each holds whole is too much" if none else ""
    return (", or ".join(held) + without).removeprefix("; ")


def in_turn(stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed, ranks: int) -> Course:
    """The time where all cards sample and so many of them then train."""
    parts = rank_bytes(stage, shape, cluster.device.memory_bytes, ranks)
    state = sum(parts.get(name, 0) for name in _AT_REST)
    return course(stage, shape, cluster, assumed, sampling_cards=cluster.count, training_cards=ranks, state_bytes=state)


def best_split(
    stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed, *, held: bool = True
) -> tuple[int, Course] | None:
    """How many cards should sample while the others train, so that the slower of both is as fast as can be, and their
    time; None where nothing is left for the others, or with `held` where they do not hold the training."""
    each, found = engine_cards(shape, cluster), []
    for sampling in range(each, cluster.count, each):
        training = cluster.count - sampling
        if held and sum(rank_bytes(stage, shape, cluster.device.memory_bytes, training).values()) > (
            cluster.device.memory_bytes
        ):
            continue
        spent = course(stage, shape, cluster, assumed, sampling_cards=sampling, training_cards=training)
        found.append((spent.side_by_side, sampling, spent))
    best = min(found, key=lambda one: one[:2], default=None)
    return None if best is None else (best[1], best[2])


def sensitivity(stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed, ranks: int) -> Iterator[str]:
    """What is assumed, each with the hours in all if it were otherwise: half and twice that, as far as it can be."""
    for one in fields(Assumed):
        value = getattr(assumed, one.name)
        least, most = _BOUNDS.get(one.name, (0.0, math.inf))
        others = (1.0 - value,) if one.name == "resident" else (max(least, value / 2), min(most, value * 2))
        hours = []
        for other in others:
            if other != value:
                spent = in_turn(stage, shape, cluster, replace(assumed, **{one.name: other}), ranks)
                label = {value / 2: "half", value * 2: "twice"}.get(other) or _said(one.name, other).split()[0]
                hours.append(f"{rounded(spent.in_turn / 3600)} h if {label}")
        yield f"{_said(one.name, value)}: {', '.join(hours)}"


def _said(name: str, value: float) -> str:
    return _SAID[name].format(value)


def _ranks(name: str, stage: Trained, cluster: Cluster) -> int:
    """All cards, or as many as the recipe says."""
    asked = stage.batch.ranks
    if asked > cluster.count:
        raise ModelError(
            f"stage {name!r}: `batch.ranks` is {asked}, but {cluster.name} are {cluster.count} cards, and every rank "
            f"needs one of its own: set it to {cluster.count} or less, or plan a larger machine"
        )
    return asked if asked > 1 else cluster.count


def _assumed(recipe: Recipe, standing: Standing, out: Path, stage: RlStage, cluster: Cluster) -> Assumed:
    published = any(standing.name in stages for stages in dict(recipe.published or {}).values())
    assumed = assumed_of(cluster, as_published=published)
    measured = find_measured(standing, out)
    if measured is not None and measured.mean_tokens is not None:
        return replace(assumed, mean=min(1.0, measured.mean_tokens / stage.sampling.max_tokens))
    return assumed


def _rank_line(stage: Trained, shape: Shape, cluster: Cluster, ranks: int, context: int) -> Line:
    parts = rank_bytes(stage, shape, cluster.device.memory_bytes, ranks, context)
    cut = f", passes shared by {context} ranks each (`batch.context`)" if context > 1 else ""
    return "rank", f"{_listed(parts, cluster)}{cut}"


def _engine_line(stage: RlStage, shape: Shape, cluster: Cluster) -> Line:
    each, limit = engine_cards(shape, cluster), longest_completion(stage)
    weights = shape.parameters * 2 // each
    rows = rows_that_fit(shape, cluster, limit)
    cache = rows * shape.latent * 2 * (limit + PROMPT_TOKENS) // each
    cards = f"{each} card{'s' if each > 1 else ''}"
    return (
        "engine",
        f"{cluster.count // each} of {cards}, on each {bytes_text(weights)} of weights in bf16 and {bytes_text(cache)} "
        f"of keys and values: {rows:,} completions of {limit:,} tokens at one time",
    )


def _listed(parts: Mapping[str, int], cluster: Cluster) -> str:
    total, there = sum(parts.values()), cluster.device.memory_bytes
    listed = ", ".join(f"{name} {bytes_text(size)}" for name, size in sorted(parts.items(), key=lambda one: -one[1]))
    return f"about {bytes_text(total)} of {bytes_text(there)}{'' if total <= there else ', too much'}: {listed}"


def _time_lines(spent: Course, cluster: Cluster, ranks: int) -> Iterator[Line]:
    total = spent.in_turn
    idle = spent.tail + spent.sync + spent.training * (1 - ranks / cluster.count)
    yield (
        "time",
        f"roughly {_hours(total)} where all cards sample and train in turn: {_hours(spent.sampling)} sampling, "
        f"{_hours(spent.training)} training, {_hours(spent.sync)} for new weights",
    )
    yield (
        "idle",
        f"{idle / total:.0%} of that: {_hours(spent.tail)} in which only the longest completions are still written, "
        f"and weights under way",
    )


def _split_lines(stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed) -> Iterator[Line]:
    best, aside = best_split(stage, shape, cluster, assumed), ""
    if best is None:
        best = best_split(stage, shape, cluster, assumed, held=False)
        aside = " (the cards that train do not hold it)"
    if best is None:
        yield "split", "none: an engine takes all cards, so they sample and train in turn"
        return
    sampling, spent = best
    total, training = spent.side_by_side, cluster.count - sampling
    waiting = sampling * (total - spent.sampling - spent.sync) + training * (total - spent.training)
    yield (
        "split",
        f"{sampling} cards that sample ahead (engine.lag 1) and {training} that train{aside}: roughly {_hours(total)}, "
        f"in which {waiting / total / cluster.count:.0%} of the cards wait for the others",
    )


def _fewest(stage: Trained, shape: Shape, device_bytes: int, context: int) -> int | None:
    """The fewest cards of so much memory of which each holds its part of an update."""

    def fits(count: int) -> bool:
        return sum(rank_bytes(stage, shape, device_bytes, count, context).values()) <= device_bytes

    low, high = 1, 1
    if fits(1):
        return 1
    while high <= _MOST_CARDS and not fits(high):
        low, high = high, high * 2
    if high > _MOST_CARDS:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _hours(spent: float) -> str:
    return f"{rounded(spent / 3600)} h" if spent >= 2 * 3600 else time_text(spent)
