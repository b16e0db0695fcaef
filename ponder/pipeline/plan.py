"""What a recipe would do, as text: stages, what is done already, each stage's batch, memory, time and cost."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ponder.errors import PonderError
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.folder import check_owner
from ponder.pipeline.forecast import Forecast, dollars, spent_text
from ponder.pipeline.machine import CLUSTER_DEVICE, DOLLARS_PER_HOUR, Device, this_device
from ponder.pipeline.memory import Trained
from ponder.pipeline.placed import as_placed
from ponder.pipeline.plan_cluster import NOT_HELD, dealt, on_cluster
from ponder.pipeline.plan_draw import drawing_on
from ponder.pipeline.plan_evaluate import evaluating
from ponder.pipeline.plan_published import beside_published
from ponder.pipeline.plan_sample import sampling
from ponder.pipeline.plan_train import training
from ponder.pipeline.plan_words import bytes_text, rounded
from ponder.pipeline.preflight import check_inputs, check_lag, check_recipe
from ponder.pipeline.room import check_room
from ponder.pipeline.schedule import makespan
from ponder.pipeline.survey import Standing, survey
from ponder.recipe.graph import edges
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import ReportStage, RlStage
from ponder.share import stages_at_once

__all__ = ["describe_plan", "why_not"]

_FORECASTS: Mapping[str, Callable[[Recipe, Standing, Path, Device], Forecast]] = {
    "rl": training,
    "pretrain": training,
    "sft": training,
    "reward_model": training,
    "sample": sampling,
    "evaluate": evaluating,
    "report": lambda recipe, standing, out, here: Forecast(),
}
"""Kind of stage -> what it would do and need."""

_STATES = {
    "new": "to run",
    "unfinished": "to be continued",
    "grown": "to be trained longer",
    "done": "done, will be skipped",
    "different": "in this folder with other settings: refused",
    "damaged": "in this folder, but damaged: refused",
}


def describe_plan(
    recipe: Recipe, out: Path, *, smoke: bool = False, cluster: Cluster | None = None, context: int | None = None
) -> str:
    """The plan of `recipe` in the run folder `out`, which need not exist, on this machine, or on a `cluster`, of which
    `context` ranks share a sequence. Starts nothing, writes nothing."""
    check_owner(out, recipe, smoke=smoke)
    device = this_device(recipe.at_once) if cluster is None else cluster.device
    standings = survey(recipe, out, smoke=smoke)
    on = (
        f"device {device.name} ({bytes_text(device.memory_bytes)}){_beside(recipe, device)}"
        if cluster is None
        else f"planned for {cluster.name}"
    )
    lines = [f"recipe {recipe.name}, run folder {out}, {on}", ""]
    widths = [max(len(text) for text in column) for column in zip(*map(_row, standings), strict=True)]
    for number, standing in enumerate(standings, 1):
        cells = (cell.ljust(width) for cell, width in zip(_row(standing), widths, strict=True))
        lines.append(f"{number:3}  {'  '.join(cells)}".rstrip())
        lines += [f"     differs: {one}" for one in standing.differences]
    forecasts: dict[str, Forecast] = {}
    for standing in standings:
        if standing.state == "done":
            continue
        forecast = (
            _FORECASTS[standing.stage.kind](recipe, standing, out, device)
            if cluster is None
            else _on_cluster(recipe, standing, out, cluster, context)
        )
        forecasts[standing.name] = forecast
        if forecast.lines:
            lines += ["", f"{standing.name} ({standing.stage.kind})"]
            lines += [f"  {name:<8} {text}" for name, text in forecast.lines]
    lines += ["", *(_total(recipe, forecasts) if cluster is None else _wall_total(forecasts, cluster))]
    published = list(beside_published(recipe, forecasts, cluster))
    lines += ["", *published] if published else []
    reason = why_not(recipe, out, cluster)
    lines += ["", f"would not start: {reason}"] if reason else []
    return "\n".join(lines)


def why_not(recipe: Recipe, out: Path, cluster: Cluster | None = None) -> str:
    """Why a run of `recipe` in the run folder `out` would not start on this machine, or for reasons that are not of
    this machine on a `cluster`; "" where it would."""
    try:
        if cluster is not None:
            check_recipe(recipe)
            check_lag(recipe, (cluster.count, "GPUs"))
            return ""
        check_inputs(recipe)
        check_room(recipe, done=[one.name for one in survey(recipe, out, smoke=False) if one.state == "done"])
    except PonderError as error:
        return str(error)
    return ""


def _beside(recipe: Recipe, device: Device) -> str:
    beside = stages_at_once(recipe.at_once) if device.is_cpu else 1
    return f" for each of {beside} stages that run beside one another" if beside > 1 else ""


def _total(recipe: Recipe, forecasts: Mapping[str, Forecast]) -> Iterator[str]:
    """The sum over the stages still to run, per device, and what is not in it; of stages that run beside one another
    the time until the last one ends."""
    if not forecasts:
        yield "total      nothing is left to run"
        return
    seconds: dict[Device, float] = {}
    for one in forecasts.values():
        if one.device is not None and one.seconds is not None:
            seconds[one.device] = seconds.get(one.device, 0.0) + one.seconds
    sums = []
    for device, spent in seconds.items():
        told = spent
        if device.is_cpu:
            here = {name: (one.seconds or 0.0) if one.device == device else 0.0 for name, one in forecasts.items()}
            told = makespan(here, edges(recipe), stages_at_once(recipe.at_once))
        sums.append(f"roughly {spent_text(told, device)}{_here(recipe, told, device)}")
    charged = sum(one.charged for one in forecasts.values())
    sums += [f"{charged:,.2f} to endpoints"] if charged else []
    count = f"{len(forecasts)} stage{'s' if len(forecasts) > 1 else ''}"
    yield f"total      {', and '.join(sums) or 'not known'}, for the {count} still to run"
    unknown = [f"{name} ({one.unknown})" for name, one in forecasts.items() if one.unknown]
    if unknown:
        yield f"           not counted: {'; '.join(unknown)}"


def _on_cluster(recipe: Recipe, standing: Standing, out: Path, cluster: Cluster, context: int | None) -> Forecast:
    placed = as_placed(recipe, standing, cluster, context)
    asked = standing.stage
    if isinstance(asked, RlStage) and asked.engine.lag and asked.batch.ranks == 1:
        placed = dealt(recipe, placed, out, cluster)
    told = _FORECASTS[asked.kind](recipe, placed, out, cluster.device)
    if isinstance(asked, Trained):
        return on_cluster(recipe, placed, out, told, cluster, asked)
    return drawing_on(recipe, placed, told, cluster)


def _wall_total(forecasts: Mapping[str, Forecast], cluster: Cluster) -> Iterator[str]:
    """The sum over the stages still to run, one after the other on all cards, and what is not in it."""
    if not forecasts:
        yield "total      nothing is left to run"
        return
    walls = [one.wall for one in forecasts.values() if one.wall is not None and one.fits]
    without = {name: NOT_HELD if not one.fits else one.unknown for name, one in forecasts.items()}
    missing = [f"{name} ({why})" for name, why in without.items() if why]
    if walls or not missing:
        wall, cards = sum(walls), cluster.count
        yield (
            f"total      roughly {rounded(wall / 3600)} h on {cluster.name}, {rounded(wall / 3600 * cards)} GPU-hours "
            f"(about ${rounded(dollars(wall * cards))} at ${DOLLARS_PER_HOUR:g} an hour)"
        )
    else:
        yield f"total      not known on {cluster.name}"
    if missing:
        yield f"           not counted: {'; '.join(missing)}"


def _here(recipe: Recipe, spent: float, device: Device) -> str:
    """What a time on this machine costs, if a report stage states its price."""
    if device is CLUSTER_DEVICE:
        return ""
    stated = (one.price_per_hour for one in recipe.stages.values() if isinstance(one, ReportStage))
    price = next((one for one in stated if one is not None), None)
    paid = "" if price is None else f" (about ${rounded(spent / 3600 * price)} at ${price:g} an hour)"
    return f" on this machine{paid}"


def _row(standing: Standing) -> tuple[str, str, str, str]:
    stage = standing.stage
    after = f" (after {', '.join(stage.after)})" if stage.after else ""
    return standing.name, stage.kind, _STATES[standing.state], f"from {stage.reads()}{after}"
