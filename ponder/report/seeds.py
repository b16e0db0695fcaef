"""What several runs of one recipe reached, together: means over seeds with intervals, and how often a phenomenon held.

The unit of an interval is the run: a 95 % interval of Student's t over the seeds, so it says what another seed would
give, which the interval of one run over its problems does not. Runs that failed are counted, since those that did not
may be the lucky ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ponder.report.paper import read_phenomena
from ponder.report.run import Run, read_run

__all__ = ["Held", "Spread", "held", "measures", "spread", "student_interval", "tables"]

_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
        2.042)  # fmt: skip
"""Student's t at 97.5 % for 1 to 30 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One measure over the seeds: values in the order of the runs; no interval of a single run, or of equal ones."""

    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        interval = None if self.interval is None else list(self.interval)
        return {"values": list(self.values), "mean": self.mean, "interval": interval}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One phenomenon over the seeds: its verdict in each run."""

    number: int
    name: str
    verdicts: tuple[str, ...]


def student_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the mean by Student's t; None for fewer than two values, and where all are equal: a spread
    that was not seen is not one of 0."""
    if len(set(values)) < 2:
        return None
    freedom = len(values) - 1
    t = _T95[freedom - 1] if freedom <= len(_T95) else 1.96 + 2.4 / freedom  # to 0.003
    reach = t * stdev(values) / sqrt(len(values))
    return fmean(values) - reach, fmean(values) + reach


def measures(run: Run) -> dict[str, float]:
    """The numbers a run is compared by, named after stage and measure; accuracy only where a problem has a gold."""
    found: dict[str, float] = {}
    for stage in run.stages:
        if stage.status != "done":
            continue
        for when, scores in (("start", stage.start), ("end", stage.end)):
            if scores is not None:
                found[f"{stage.name} {when}: pass@1"] = scores[1].overall.pass_at_1
                found[f"{stage.name} {when}: tokens"] = scores[1].overall.mean_tokens
        for name, scores_of in stage.benchmarks.items():
            found[f"{stage.name}: {name.replace('--', ' on ')}"] = scores_of.overall.pass_at_1
        found[f"{stage.name}: seconds"] = stage.seconds
    return {name: value for name, value in found.items() if isfinite(value)}


def spread(found: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Every measure that all runs have."""
    shared = [name for name in found[0] if all(name in one for one in found)] if found else []
    return {
        name: Spread(
            values=(values := tuple(one[name] for one in found)), mean=fmean(values), interval=student_interval(values)
        )
        for name in shared
    }


def held(runs: Sequence[Run]) -> tuple[Held, ...]:
    """The phenomena that any of the runs measured."""
    each = [{one.number: one for one in read_phenomena(run)} for run in runs]
    numbers = sorted({number for one in each for number, phenomenon in one.items() if phenomenon.measured})
    return tuple(
        Held(
            number=number,
            name=next(one[number].name for one in each if number in one),
            verdicts=tuple(one[number].verdict if number in one else "not measured" for one in each),
        )
        for number in numbers
    )


def tables(groups: Mapping[str, Sequence[Path]], failed: Collection[Path] = ()) -> tuple[list[Table], dict[str, Any]]:
    """Tables for people and the same as JSON, of run folders by the setting they share. Those that `failed` have no
    numbers, but are counted among those in which a phenomenon was not held."""
    shown, value = [], {}
    for setting, folders in groups.items():
        ended, lost = [one for one in folders if one not in failed], [one for one in folders if one in failed]
        runs = [read_run(folder) for folder in ended]
        measured, phenomena = spread([measures(run) for run in runs]), held(runs)
        value[setting] = {
            "runs": [str(folder) for folder in ended],
            "failed": [str(folder) for folder in lost],
            "measures": {name: one.to_json() for name, one in measured.items()},
            "phenomena": {str(one.number): {"name": one.name, "verdicts": list(one.verdicts)} for one in phenomena},
        }
        shown += list(_tables(setting, len(runs), len(lost), measured, phenomena))
    return shown, value


def _tables(
    setting: str, runs: int, failed: int, measured: Mapping[str, Spread], phenomena: Sequence[Held]
) -> Iterator[Table]:
    asked = runs + failed
    counted = f"{runs} of {asked} runs ({failed} failed)" if failed else f"{runs} runs"
    table = Table(title=f"{setting or 'all'}: {counted}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("measure", "mean", "95 % over runs", "each"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for name, one in measured.items():
        low, high = one.interval or (None, None)
        between = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
        table.add_row(name, _number(one.mean), between, "  ".join(_number(value) for value in one.values))
    yield table
    if phenomena:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("phenomenon", "held", "each"):
            table.add_column(name)
        for seen in phenomena:
            count = f"{seen.verdicts.count('held')} of {asked}"
            table.add_row(f"{seen.number} {seen.name}", count, ", ".join(seen.verdicts))
        yield table


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"
