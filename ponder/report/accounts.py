"""What went in: the composition of sampled data, and time, tokens, operations and money of every stage."""

from collections.abc import Iterable, Mapping

from ponder.report.blocks import Cell, Section, Table
from ponder.report.cost import Cost, stage_cost
from ponder.report.published import published
from ponder.report.readers import COMPOSITION, Part, read_composition
from ponder.report.run import Run, StageRecord
from ponder.watch.pace import seconds_text

__all__ = ["composition_section", "cost_section"]


def composition_section(run: Run) -> Section | None:
    """Examples by domain of every `sample` stage, as in the paper's table 5."""
    parts = [(stage, read_composition(stage.folder)) for stage in run.stages if stage.kind == "sample"]
    tables = [_composition(run, stage, found) for stage, found in parts if found]
    if not tables:
        return None
    return Section(
        name="paper-data",
        title="Data that the run made",
        lead="What the sampling stages kept, by domain and language.",
        tables=tables,
        published=[published()["composition"]],
    )


def _composition(run: Run, stage: StageRecord, parts: Iterable[Part]) -> Table:
    file = (run.relative(stage.folder / COMPOSITION),)
    domains: dict[str, list[Part]] = {}
    for part in parts:
        domains.setdefault(part.domain, []).append(part)
    every = [part for some in domains.values() for part in some]
    rows = [_domain(name, some, file) for name, some in (*domains.items(), ("total", every))]
    asked, kept = stage.results.get("asked"), stage.results.get("kept")
    note = f"{kept:,} of {asked:,} responses were kept." if asked is not None and kept is not None else ""
    made = str(stage.config.get("output", "examples"))
    return Table(
        caption=f"{stage.name}: {made}",
        columns=["domain", made, "English", "Chinese", "average tokens"],
        rows=rows,
        note=note,
    )


def _domain(name: str, parts: Iterable[Part], file: tuple[str, ...]) -> list[Cell]:
    parts = list(parts)
    counts = {language: sum(one.count for one in parts if one.language == language) for language in ("en", "zh")}
    known = [one for one in parts if one.average_tokens is not None]
    tokens = sum((one.average_tokens or 0.0) * one.count for one in known)
    average = f"{tokens / sum(one.count for one in known):,.1f}" if known else "-"
    texts = [f"{sum(one.count for one in parts):,}", f"{counts['en']:,}", f"{counts['zh']:,}", average]
    return [Cell(text=name), *(Cell(text=text, files=file) for text in texts)]


def cost_section(run: Run) -> Section | None:
    """A row per stage that has begun, and their sum."""
    costs = {stage.name: cost for stage in run.stages if (cost := stage_cost(run, stage)) is not None}
    costs = {name: cost for name, cost in costs.items() if cost.seconds or cost.flops}
    if not costs:
        return None
    price = _price(run)
    heads = ["stage", "time", "trained", "sampled", "reference", "measured", "parameters", "operations"]
    heads += [] if price is None else ["dollars"]
    paid = "" if price is None else f" Money counts {price:g} dollars an hour, as the recipe says."
    charged = sum(cost.charged or 0.0 for cost in costs.values())
    if charged:
        paid += f" Endpoints charged {charged:,.2f} dollars."
    return Section(
        name="paper-cost",
        title="Cost",
        lead="Tokens by what was done with them. Operations are 6 N for a trained token and 2 N for one that was only "
        "sampled, scored by the reference or measured, N being all parameters; prompts, attention and "
        f"whatever reward models train on and score are left out.{paid}",
        tables=[
            Table(
                caption="Time, tokens and operations",
                columns=heads,
                rows=[*(_cost_row(name, cost, price) for name, cost in costs.items()), _total(costs, price)],
            )
        ],
        published=[published()["cost"]],
    )


def _price(run: Run) -> float | None:
    """The price that a report stage of the recipe states."""
    stages: Iterable[Mapping[str, float | None]] = run.recipe["stages"].values()
    return next((price for one in stages if (price := one.get("price_per_hour")) is not None), None)


def _cost_row(name: str, cost: Cost, price: float | None) -> list[Cell]:
    tokens = (cost.trained, cost.sampled, cost.scored, cost.measured)
    texts = [seconds_text(cost.seconds), *(f"{one:,.0f}" if one else "" for one in tokens)]
    texts += ["" if cost.parameters is None else f"{cost.parameters:,}", _flops(cost.flops)]
    texts += [] if price is None else [_dollars(cost.seconds, price)]
    return [Cell(text=name), *(Cell(text=text, files=cost.files) for text in texts)]


def _total(costs: Mapping[str, Cost], price: float | None) -> list[Cell]:
    every = costs.values()
    files = tuple(dict.fromkeys(file for one in every for file in one.files))
    seconds, known = sum(one.seconds for one in every), [one.flops for one in every if one.flops is not None]
    tokens = [(one.trained, one.sampled, one.scored, one.measured) for one in every]
    sums = [sum(column) for column in zip(*tokens, strict=True)]
    texts = [seconds_text(seconds), *(f"{one:,.0f}" for one in sums), "", _flops(sum(known))]
    texts += [] if price is None else [_dollars(seconds, price)]
    return [Cell(text="total"), *(Cell(text=text, files=files) for text in texts)]


def _flops(value: float | None) -> str:
    return "" if not value else f"{value:.2e}"


def _dollars(seconds: float, price: float) -> str:
    return f"{seconds / 3600 * price:,.2f}"
