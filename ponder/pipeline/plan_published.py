"""A plan's numbers beside those of the published run that its recipe follows, and why the two differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import wrap

from ponder.pipeline.cluster import Cluster
from ponder.pipeline.estimate import USUAL_EXAMPLE, USUAL_RESPONSE, USUAL_SHARE_OF_LIMIT
from ponder.pipeline.forecast import Forecast, dollars
from ponder.pipeline.machine import CLUSTER_DEVICE
from ponder.recipe.recipe import Recipe
from ponder.report.published import published_costs

__all__ = ["beside_published"]

_WIDTH = 116


def beside_published(
    recipe: Recipe, forecasts: Mapping[str, Forecast], cluster: Cluster | None = None
) -> Iterator[str]:
    """Lines: a row for each published part that the recipe names, their sums, and the reasons. `forecasts` are of the
    stages still to run, and of all cards of a `cluster` where one is planned for."""
    if cluster is not None:
        forecasts = {
            name: replace(one, seconds=None if one.wall is None else one.wall * cluster.count)
            for name, one in forecasts.items()
        }
    if not recipe.published:
        return
    cost = published_costs()
    parts = dict(recipe.published)
    yield f"beside what was published ({cost.source})"
    yield _row("", "published", "this plan", "stages")
    for part, stages in parts.items():
        yield _row(part, _money(cost.hours[part], cost.dollars[part]), _planned(stages, forecasts), ", ".join(stages))
    every = [stage for stages in parts.values() for stage in stages]
    total = _money(sum(cost.hours[one] for one in parts), sum(cost.dollars[one] for one in parts))
    yield _row("sum", total, _planned(every, forecasts), _left_out(every, recipe, forecasts))
    reasons = list(_reasons(cluster))
    if cluster is not None:
        planned = sum(one.wall or 0.0 for name, one in forecasts.items() if name in every)
        published = sum(cost.hours[one] for one in parts) / cluster.count
        reasons[0] = (
            f"On {cluster.count} cards the published GPU-hours are {_three(published)} hours, and this plan is "
            f"{_three(planned / 3600)}, by the lines `assumed`: the mean length is that of the estimate without a "
            f"machine, which was set by published GPU-hours, the others are not."
        )
        otherwise = [name for name in every if name in forecasts and not forecasts[name].fits]
        if otherwise:
            reasons.append(
                f"The cards do not hold {', '.join(otherwise)} as ponder places them: counted is how long it takes "
                f"where they are placed as the authors did, experts and layers on cards of their own."
            )
    for reason in (cost.note, *reasons):
        yield from wrap(reason, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _planned(stages: Sequence[str], forecasts: Mapping[str, Forecast]) -> str:
    """The sum over those stages whose time is known, marked where others are not."""
    found = [forecasts[stage] for stage in stages if stage in forecasts]
    if not found:
        return "done"
    seconds = [one.seconds for one in found if one.seconds is not None]
    unknown = any(one.unknown for one in found)
    if not seconds:
        return "not known" if unknown else "endpoints only"
    return _money(sum(seconds) / 3600, dollars(sum(seconds))) + (" and more" if unknown else "")


def _left_out(counted: Sequence[str], recipe: Recipe, forecasts: Mapping[str, Forecast]) -> str:
    others = [name for name in recipe.stages if name not in counted and name in forecasts and forecasts[name].seconds]
    return f"(not published, and not in the sum: {', '.join(others)})" if others else ""


def _money(hours: float, price: float) -> str:
    return f"{_three(hours)} h  ${_three(price)}"


def _three(number: float) -> str:
    """As many digits as the published numbers have."""
    return f"{float(f'{number:.3g}'):,.0f}"


def _row(*cells: str) -> str:
    widths = (8, 20, 22, 0)
    # A longer cell keeps its distance, too.
    return ("  " + "".join(f"{cell:{width}}  " for cell, width in zip(cells, widths, strict=True))).rstrip()


def _reasons(cluster: Cluster | None) -> Iterator[str]:
    device = CLUSTER_DEVICE
    yield (
        f"The plan counts {device.train_flops:.1e} operations/s in training and {device.generate_flops:.1e} in "
        f"sampling on one {device.name}, whose bf16 peak is an H800's. These shares of the peak were set so that "
        f"R1-Zero comes to its published hours: its row confirms nothing, the others test the estimate."
    )
    yield (
        f"It takes completions in training to be {USUAL_SHARE_OF_LIMIT:.0%} of the limit, sampled data and scores "
        f"{USUAL_RESPONSE:.0%} and examples {USUAL_EXAMPLE:.0%} (the means of v2, table 5). Halve a length, and that "
        f"stage takes about half."
    )
    yield (
        "It leaves out what endpoints compute (judges, rewriters), "
        + ("the passes of reward models in RL, attention's own products, idle devices, " if cluster is None else "")
        + "loading and checkpoints. Where nothing is published (updates of RL 1, responses per prompt) the recipe had "
        "to choose, and says how."
    )
