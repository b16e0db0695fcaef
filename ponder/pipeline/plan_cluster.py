"""What a stage that trains would do on a machine of many cards: what lies where, who samples and who trains, how long
it takes, what each assumption does to that, and the smallest machine that holds it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

from ponder.pipeline.assumed import PUBLISHED_ENGINE, Assumed, assumed_of
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.counts import Stages
from ponder.pipeline.decoding import Engine
from ponder.pipeline.estimate import USUAL_EXAMPLE, updates, work
from ponder.pipeline.forecast import Forecast, Line
from ponder.pipeline.measured import find_measured
from ponder.pipeline.memory import ALONE, PROMPT_TOKENS, Beside, Trained, longest_example
from ponder.pipeline.placed import is_published, machine_line, why_one_rank
from ponder.pipeline.plan_rank import at_rest, computes_again, rank_bytes, rank_text, smallest_machines
from ponder.pipeline.plan_train import beside_of
from ponder.pipeline.plan_words import bytes_text, counted, rounded, time_text
from ponder.pipeline.shape import Shape, find_shape
from ponder.pipeline.survey import Standing
from ponder.pipeline.wall import Course, course, engine_of, update_seconds
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import RlStage, SftStage

__all__ = [
    "NOT_HELD",
    "best_split",
    "dealt",
    "engine_line",
    "on_cluster",
    "placed_course",
    "sensitivity",
]

NOT_HELD = "does not fit"
_LOOKED_AT = 256
"""Divisions of the cards that are compared at a time: of more, every so-many-th, then those around the best."""
_REPLACED = ("memory", "phases", "ranks", "time")
_BOUNDS = {"mean": (0.0, 1.0), "longest": (0.0, 1.0), "train_share": (0.0, 1.0), "bandwidth_share": (0.0, 1.0),
           "tokens_per_step": (1.0, math.inf)}  # fmt: skip
_PARTS_OF_ONE = ("resident", "again")
"""Assumptions that are better set to the contrary than halved and doubled."""
_SAID = {
    "mean": "{:.0%} of the limit is a mean completion",
    "longest": "{:.0%} of the limit is the longest of a rollout",
    "train_share": "{:.0%} of the peak in products of training and of many rows",
    "bandwidth_share": "{:.0%} of the memory bandwidth in sampling",
    "hop_seconds": "{:.0e} s for each of two exchanges a layer between an engine's cards",
    "tokens_per_step": "{:.1f} tokens a step",
    "link": "{:.1e} bytes/s into each card for new weights",
    "resident": "{:.0%} of the training state stays on a card that samples",
    "again": "{:.0%} of the backward passes compute their layers' activations again, a forward pass more",
    "step_seconds": "{:.1e} s for a step of sampling at least, as measured on an H200",
    "recording_seconds": "{:.1f} s to record the steps of a rollout of ponder's own engine, as measured on an H200",
    "pass_seconds": "{:.2f} s for a forward and a backward pass at least, as measured on an H200",
}


def on_cluster(
    recipe: Recipe, standing: Standing, out: Path, told: Forecast, cluster: Cluster, asked: Trained
) -> Forecast:
    """`told` of a stage as it is placed, with what is said of memory and time said of the cluster, and its time on all
    of its cards; none where they do not hold it. `asked` is the stage as its recipe has it."""
    shape = find_shape(recipe, standing.name)
    if isinstance(shape, str):
        return told
    stage, published = standing.stage, is_published(recipe, standing.name)
    assert isinstance(stage, Trained), stage
    ranks, beside = stage.batch.ranks, beside_of(recipe, stage, shape)
    parts = rank_bytes(stage, shape, cluster.device.memory_bytes, ranks, beside)
    held = sum(parts.values()) <= cluster.device.memory_bytes
    assumed = assumed_of(cluster, as_published=published)
    if not published:
        assumed = _again(assumed, stage, shape, cluster, ranks)
    lines: list[Line] = [line for line in told.lines if line[0] not in _REPLACED]
    lines.append(machine_line(standing.name, asked, stage, cluster))
    lines.append(("rank", rank_text(parts, stage, cluster)))
    if not held:
        by_authors = "; times are those of its authors, who placed it otherwise" if published else ""
        lines.append(("not held", f"a card of {cluster.name} does not hold what `rank` says{by_authors}"))
    wall = None
    if isinstance(stage, RlStage):
        assumed = _with_lengths(assumed, standing, out, stage)
        drawing, ahead = _drawing(stage, cluster, ranks)
        state = 0 if ahead else round(assumed.resident * sum(at_rest(parts)))
        lines.append(engine_line(engine_of(stage, shape, cluster, state), stage.longest_completion(), drawing))
        lines.append(("smallest", smallest_machines(stage, shape, beside)))
        if held or published:
            spent = placed_course(stage, shape, cluster, assumed, ranks, beside)
            lines += list(_time_lines(stage, spent, cluster, ranks))
            wall = spent.wall
        best = best_split(stage, shape, cluster, assumed, beside=beside, as_published=published)
        lines.append(("split", _split(best, stage, shape, cluster)))
        if wall is not None and math.isfinite(wall):
            lines += [("assumed", text) for text in sensitivity(stage, shape, cluster, assumed, ranks, beside)]
            if stage.engine == PUBLISHED_ENGINE:
                lines.append(("assumed", f"vLLM draws (v2, B.1), at most {stage.engine.max_slots} rows on an engine"))
        elif wall is not None:
            wall = None if best is None else best[1].side_by_side
    else:
        lines.append(("smallest", smallest_machines(stage, shape, beside)))
        if told.seconds is not None and (held or published):
            wall = _trained_seconds(stage, recipe.stages, shape, cluster, assumed)
            lines.append(("time", f"roughly {time_text(wall)} on {counted(ranks, 'card')}"))
            if assumed.again:
                lines.append(("assumed", _SAID["again"].format(assumed.again)))
    fits = held and (wall is not None or told.seconds is None)
    told = replace(told, lines=tuple(lines), wall=wall, fits=fits)
    return told if wall is not None else replace(told, seconds=None, unknown=told.unknown if fits else NOT_HELD)


def dealt(recipe: Recipe, standing: Standing, out: Path, cluster: Cluster) -> Standing:
    """A stage that samples ahead, with as many ranks as `best_split` leaves; as it is where there is no such division,
    or ranks share passes."""
    stage, shape = standing.stage, find_shape(recipe, standing.name)
    assert isinstance(stage, RlStage), stage
    if isinstance(shape, str) or stage.batch.context > 1 or why_one_rank(stage) is not None:
        return standing
    assumed = _with_lengths(assumed_of(cluster, as_published=False), standing, out, stage)
    best = best_split(stage, shape, cluster, assumed, beside=beside_of(recipe, stage, shape))
    if best is None:
        return standing
    batch = stage.batch.model_copy(update={"ranks": cluster.count - best[0]})
    return replace(standing, stage=stage.model_copy(update={"batch": batch}))


def placed_course(
    stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed, ranks: int, beside: Beside = ALONE
) -> Course:
    """The time where so many cards train. All sample before, each with room beside what the first one keeps of
    training; with `engine.lag` those sample that do not train, at the same time."""
    drawing, ahead = _drawing(stage, cluster, ranks)
    state, frozen = (0, 0) if ahead else at_rest(rank_bytes(stage, shape, cluster.device.memory_bytes, ranks, beside))
    spent = course(
        stage,
        shape,
        cluster,
        assumed,
        sampling_cards=drawing,
        training_cards=ranks,
        state_bytes=state,
        frozen_bytes=frozen,
        beside=beside,
    )
    return replace(spent, ahead=ahead)


def _drawing(stage: RlStage, cluster: Cluster, ranks: int) -> tuple[int, bool]:
    """How many cards sample, and whether they are others than train."""
    ahead = stage.engine.lag > 0 and cluster.count > ranks
    return cluster.count - ranks if ahead else cluster.count, ahead


def best_split(
    stage: RlStage,
    shape: Shape,
    cluster: Cluster,
    assumed: Assumed,
    *,
    beside: Beside = ALONE,
    as_published: bool = False,
) -> tuple[int, Course] | None:
    """How many cards should sample while the others train, so that the slower of both is as fast as can be, and their
    time; None where nothing is left for the others, or they do not hold the training. Layers are computed again where
    so many ranks do that, or as `assumed` says of a published run."""
    each, most = engine_of(stage, shape, cluster).cards, 1 if why_one_rank(stage) else cluster.count

    def spent(sampling: int) -> Course | None:
        training = min(cluster.count - sampling, most)
        parts = rank_bytes(stage, shape, cluster.device.memory_bytes, training, beside)
        if sum(parts.values()) > cluster.device.memory_bytes:
            return None
        here = assumed if as_published else _again(assumed, stage, shape, cluster, training)
        return course(stage, shape, cluster, here, sampling_cards=sampling, training_cards=training, beside=beside)

    def seconds(sampling: int) -> float:
        found = spent(sampling)
        return math.inf if found is None else found.side_by_side

    sampling = _least(list(range(each, cluster.count, each)), seconds)
    found = None if sampling is None else spent(sampling)
    return None if sampling is None or found is None or not math.isfinite(found.side_by_side) else (sampling, found)


def _again(assumed: Assumed, stage: Trained, shape: Shape, cluster: Cluster, ranks: int) -> Assumed:
    return replace(assumed, again=float(computes_again(stage, shape, cluster, ranks)))


def _least(ways: list[int], seconds: Callable[[int], float]) -> int | None:
    """The one that takes least. Drawing takes no longer with more cards, nor training with fewer that draw: what the
    slower takes falls, then rises, and level stretches have what is less before or behind them."""
    while len(ways) > _LOOKED_AT:
        stride = -(-len(ways) // _LOOKED_AT)
        looked = {at: seconds(ways[at]) for at in (*range(0, len(ways), stride), len(ways) - 1)}
        best = [at for at, spent in looked.items() if spent == min(looked.values())]
        near = {at for middle in (best[0], best[-1]) for at in range(middle - stride + 1, middle + stride)}
        ways = [ways[at] for at in sorted(near) if 0 <= at < len(ways)]
    return min(ways, key=seconds, default=None)


def sensitivity(
    stage: RlStage, shape: Shape, cluster: Cluster, assumed: Assumed, ranks: int, beside: Beside = ALONE
) -> Iterator[str]:
    """What is assumed, each with the hours in all if it were otherwise: half and twice that, as far as it can be."""
    for one in fields(Assumed):
        value = getattr(assumed, one.name)
        least, most = _BOUNDS.get(one.name, (0.0, math.inf))
        others = (1.0 - value,) if one.name in _PARTS_OF_ONE else (max(least, value / 2), min(most, value * 2))
        hours = []
        for other in others:
            if other != value:
                spent = placed_course(stage, shape, cluster, replace(assumed, **{one.name: other}), ranks, beside)
                label = {value / 2: "half", value * 2: "twice"}.get(other) or _said(one.name, other).split()[0]
                hours.append(f"{_hours(spent.wall)} if {label}")
        yield f"{_said(one.name, value)}: {', '.join(hours)}"


def engine_line(engine: Engine, limit: int, cards: int | None = None) -> Line:
    """What an engine holds, and how many completions of full length at one time; `cards` draw, or all there are."""
    each, rows = engine.cards, engine.rows(limit, limit)
    beside = f", beside {bytes_text(engine.held_bytes)} of training" if engine.held_bytes else ""
    weights = f"on each {bytes_text(engine.weights_bytes // each)} of weights in {'bf16' if engine.bf16 else 'fp32'}"
    of = f"{(engine.cluster.count if cards is None else cards) // each} of {counted(each, 'card')}"
    if not rows:
        return (
            "engine",
            f"{of}, {weights}{beside}: too much for the keys and values of a completion of {limit:,} tokens",
        )
    cache = bytes_text(rows * engine.token_bytes * (limit + PROMPT_TOKENS) // each)
    return (
        "engine",
        f"{of}, {weights} and {cache} of keys and values{beside}: {counted(rows, 'completion')} of {limit:,} tokens at "
        f"one time",
    )


def _said(name: str, value: float) -> str:
    return _SAID[name].format(value)


def _with_lengths(assumed: Assumed, standing: Standing, out: Path, stage: RlStage) -> Assumed:
    measured = find_measured(standing, out)
    if measured is None or measured.mean_tokens is None:
        return assumed
    return replace(assumed, mean=min(1.0, measured.mean_tokens / stage.sampling.max_tokens))


def _trained_seconds(stage: Trained, stages: Stages, shape: Shape, cluster: Cluster, assumed: Assumed) -> float:
    """All updates of a stage that samples nothing."""
    count = updates(stage, stages) or 1
    # A prompt and two answers of twice its length; documents and their questions are short.
    length = longest_example(stage, shape) * USUAL_EXAMPLE if isinstance(stage, SftStage) else 3 * PROMPT_TOKENS
    return count * update_seconds(
        stage.batch,
        shape,
        cluster,
        assumed,
        bf16=cluster.device.bf16(stage.precision),
        tokens=work(stage, stages, shape, 0, None).trained / count,
        length=length,
        ranks=stage.batch.ranks,
    )


def _time_lines(stage: RlStage, spent: Course, cluster: Cluster, ranks: int) -> Iterator[Line]:
    total = spent.wall
    if not math.isfinite(total):
        how = "other cards draw ahead" if spent.ahead else "cards sample and train in turn"
        yield "time", f"not where {how}: beside the training no completion has room"
        return
    parts = (
        f"{_hours(spent.sampling)} sampling, {_hours(spent.training)} training, {_hours(spent.sync)} for new weights"
    )
    if spent.ahead:
        drawing = cluster.count - ranks
        yield (
            "time",
            f"roughly {_hours(total)} where {counted(drawing, 'card')} {'samples' if drawing == 1 else 'sample'} ahead "
            f"(engine.lag {stage.engine.lag}) while {ranks:,} {'trains' if ranks == 1 else 'train'}, the longer of "
            f"both: {parts}",
        )
        yield "idle", f"{_waiting(spent, cluster, drawing, ranks):.0%} of the cards wait for the others"
        return
    idle = spent.tail + spent.sync + spent.training * (1 - ranks / cluster.count)
    yield "time", f"roughly {_hours(total)} where all cards sample and train in turn: {parts}"
    yield (
        "idle",
        f"{idle / total:.0%} of that: {_hours(spent.tail)} in which only the longest completions are still written, "
        f"and weights under way",
    )


def _waiting(spent: Course, cluster: Cluster, sampling: int, training: int) -> float:
    """The part of the cards, over time, that waits where some sample while others train."""
    total = spent.side_by_side
    waiting = sampling * (total - spent.sampling - spent.sync) + (cluster.count - sampling) * total
    return (waiting - training * spent.training) / total / cluster.count


def _split(best: tuple[int, Course] | None, stage: RlStage, shape: Shape, cluster: Cluster) -> str:
    if best is None:
        if engine_of(stage, shape, cluster).cards >= cluster.count:
            return "none: an engine takes all cards, so they sample and train in turn"
        return "none: in no division the cards that train hold it, and those that sample a completion"
    sampling, spent = best
    training = 1 if why_one_rank(stage) else cluster.count - sampling
    return (
        f"{counted(sampling, 'card')} that sample ahead (engine.lag 1) and {training:,} that train: roughly "
        f"{_hours(spent.side_by_side)}, in which {_waiting(spent, cluster, sampling, training):.0%} of the cards wait "
        f"for the others"
    )


def _hours(spent: float) -> str:
    if not math.isfinite(spent):
        return NOT_HELD
    return f"{rounded(spent / 3600)} h" if spent >= 2 * 3600 else time_text(spent)
