"""`report.html`: everything worth seeing about a run on one page that needs no network and no server."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

import ponder
from ponder.errors import PonderError
from ponder.evaluation.scores import Score, Scores
from ponder.files import write_text
from ponder.report.blocks import share_text
from ponder.report.chart import draw, number_text
from ponder.report.compare import NAMES, TaskRow, difference, stories, task_rows
from ponder.report.figures import charts
from ponder.report.paper import claim_text, read_paper
from ponder.report.published import published
from ponder.report.run import StageRecord, read_run
from ponder.text.reflection import REFLECTION_PATTERN
from ponder.watch.diagnose import Finding, diagnose
from ponder.watch.keys import find_key
from ponder.watch.metrics import Row
from ponder.watch.pace import seconds_text

__all__ = ["try_report", "write_report"]

_SHOWN_CHARS = (3_000, 1_500)  # of a long completion: its beginning and its end
_LOOKS = 200  # at the course of a run
_LABELS = {
    "mean_tokens": "mean tokens",
    "reflection_per_1k_tokens": "reflection words per 1k tokens",
    "language_consistency": "language consistency",
    "format_ok": "format kept",
    "empty_answer": "no answer",
}
_WORDS = re.compile(rf"(</?(?:think|answer)>)|{REFLECTION_PATTERN}", re.IGNORECASE)


def write_report(run_folder: Path, only: Collection[str] | None = None) -> Path:
    """Write `report.html` into the run folder and return its path; also of a run that is still going on.

    `only` names the stages to describe; None describes all.
    """
    run = read_run(run_folder)
    described = [stage for stage in run.stages if only is None or stage.name in only]
    versions = next((stage.versions for stage in reversed(run.stages) if stage.versions), {})
    text = _template().render(
        run=run,
        paper=read_paper(run),
        published=published(),
        stages=[_section(stage) for stage in described],
        recipe=yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True, width=110),
        versions=versions,
        written=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        ponder_version=ponder.__version__,
    )
    path = run_folder / "report.html"
    write_text(path, text)
    return path


@cache
def _template() -> Template:
    """The page, which takes as long to compile as to fill in."""
    environment = Environment(
        loader=PackageLoader("ponder", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": seconds_text, "claim": claim_text, "svg": Markup}
    return environment.get_template("report.html")


def try_report(run_folder: Path, say: Callable[[str], None]) -> Path | None:
    """`write_report` of a run that goes on whatever comes of its page: where it cannot be written, that is said, and
    the result is None."""
    try:
        return write_report(run_folder)
    except Exception as error:  # a fault of the page's own, too: hours of training are worth more than a page
        why = str(error) if isinstance(error, PonderError | OSError) else f"{type(error).__name__}: {error}"
        say(f"WARNING: the report is not written, and the run goes on without it: {why}")
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """A headline number. Example: _Tile(label="pass@1", start="19 %", end="66 %", remark="+47 points")."""

    label: str
    start: str
    end: str
    remark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passage:
    """A finding, and during which steps it stood."""

    finding: Finding
    first: int
    last: int
    standing: bool


def _section(stage: StageRecord) -> dict[str, Any]:
    start, end = (one[1] if one is not None else None for one in (stage.start, stage.end))
    return {
        "record": stage,
        "two_points": start is not None and end is not None,
        "tiles": _tiles(start, end),
        "findings": _history(stage.rows, ended=stage.status == "done"),
        "charts": [Markup(draw(chart)) for chart in charts(stage)],
        "numbers": _numbers(start, end),
        "tasks": [_task(row) for row in (task_rows(start, end) if end is not None else task_rows(None, start))],
        "measured": _measured(stage),
        "invalid": [f"step {step}: {one.invalid}" for step, one in stage.scores.items() if one.invalid is not None],
        "stories": [
            {"story": story, "moments": [(m, _marked(m.sample.text)) for m in story.moments]}
            for story in stories(stage)
        ],
        "benchmarks": [_benchmark(scores) for scores in stage.benchmarks.values()],
        "metrics": _all_metrics(stage.rows),
        "files": _files(stage, f"stages/{stage.name}"),
    }


def _files(stage: StageRecord, folder: str) -> list[str]:
    """Where the numbers of a stage's section stand."""
    found = [f"{folder}/manifest.json", *([f"{folder}/metrics.jsonl"] if stage.rows else [])]
    if stage.scores:
        found += [f"{folder}/evaluation/step-*.json", f"{folder}/evaluation/step-*.jsonl"]
    return found + [f"{folder}/evaluation/{name}.json" for name in stage.benchmarks]


def _tiles(start: Scores | None, end: Scores | None) -> list[_Tile]:
    if end is None:
        start, end = None, start
    if end is None:
        return []
    first, last = start.overall if start is not None else None, end.overall
    low, high = last.interval
    remark = f"95 % interval {number_text(low, 'share')} to {number_text(high, 'share')}"
    if not last.pass_at:
        remark = "no held-out problem has a gold"
    change = difference(start, end) if start is not None else None
    if change is not None:
        low, high = (100 * bound for bound in change.interval)
        remark = f"{100 * change.mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}"
    tiles = [
        _Tile(
            label="pass@1, held out",
            start="" if first is None else _cell(first.pass_at_1, "share"),
            end=_cell(last.pass_at_1, "share"),
            remark=remark,
        )
    ]
    for label, name in (("mean tokens", "mean_tokens"), ("reflection words per 1k tokens", "reflection_per_1k_tokens")):
        new, old = last.to_json()[name], None if first is None else first.to_json()[name]
        tiles.append(
            _Tile(
                label=label,
                start="" if old is None else _rounded(old),
                end=_rounded(new),
                remark=f"{new / old:.2g} times" if old else "",
            )
        )
    tiles.append(
        _Tile(
            label="truncated",
            start="" if first is None else _cell(first.truncated, "share"),
            end=_cell(last.truncated, "share"),
            remark="cut off at the length limit",
        )
    )
    return tiles


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _numbers(start: Scores | None, end: Scores | None) -> list[dict[str, str]]:
    """The table of start and end: one row per public name that either has."""
    first, last = (one.overall.to_json() if one is not None else {} for one in (start, end))
    change = difference(start, end) if start is not None and end is not None else None
    rows = []
    for name, form in NAMES:
        old, new = first.get(name), last.get(name)
        if old is None and new is None:
            continue
        texts = [("" if one is None else _cell(one, form)) for one in (old, new)]
        row = {"name": _LABELS.get(name, name), "start": texts[0], "end": texts[1], "change": ""}
        if old is not None and new is not None:
            row["change"] = f"{100 * (new - old):+.1f} points" if form == "share" else f"{new - old:+,.1f}"
        if name == "pass@1":
            for key, one in (("start", first), ("end", last)):
                if one.get("pass@1_interval") is not None:
                    low, high = one["pass@1_interval"]
                    row[key] += f" ({100 * low:.1f} to {100 * high:.1f})"
            if change is not None:
                low, high = (100 * bound for bound in change.interval)
                row["change"] += f" ({low:+.1f} to {high:+.1f}, paired)"
        rows.append(row)
    return rows


def _cell(value: float, form: str) -> str:
    return share_text(value) if form == "share" else f"{value:,.1f}"


def _task(row: TaskRow) -> dict[str, Any]:
    cells = (row.start, row.end)
    known = [one is not None and bool(one.pass_at) for one in cells]
    change = ""
    if row.start is not None and row.end is not None:
        change = f"{100 * (row.end.pass_at_1 - row.start.pass_at_1):+.1f}" if all(known) else "-"
    return {
        "kind": row.kind,
        "name": row.name,
        "problems": row.problems,
        "start": "" if cells[0] is None else share_text(cells[0].pass_at_1),
        "end": "" if cells[1] is None else share_text(cells[1].pass_at_1),
        "interval": "" if cells[1] is None else _interval(cells[1]),
        "change": change,
        "tokens": " \u2192 ".join(f"{one.mean_tokens:,.0f}" for one in cells if one is not None),
        "bar_start": round(100 * cells[0].pass_at_1, 1) if cells[0] is not None and known[0] else 0,
        "bar_end": round(100 * cells[1].pass_at_1, 1) if cells[1] is not None and known[1] else 0,
    }


def _interval(one: Score) -> str:
    """In per cent; - where nothing has a gold."""
    return f"{100 * one.interval[0]:.1f} to {100 * one.interval[1]:.1f}" if one.pass_at else "-"


def _measured(stage: StageRecord) -> str:
    """How the held-out numbers came about, in a sentence."""
    points = [one for one in (stage.start, stage.end) if one is not None]
    if not points:
        return ""
    parts = " and ".join(f"{one.overall.samples} at step {step}" for step, one in points)
    provenance = points[-1][1].provenance
    sampling = provenance.get("sampling", {})
    return (
        f"{points[-1][1].overall.problems:,} held-out problems; samples per problem: {parts}; temperature "
        f"{sampling.get('temperature')}, top-p {sampling.get('top_p')}, at most {sampling.get('max_tokens')} tokens, "
        f"seed {provenance.get('seed')}."
    )


def _history(rows: Sequence[Row], *, ended: bool) -> list[_Passage]:
    """Every finding of the run with the steps it stood at (of a long run, to a few steps); those standing now first."""
    seen: dict[str, tuple[Finding, int, int]] = {}
    for end in sorted({*range(1, len(rows) + 1, max(1, len(rows) // _LOOKS)), len(rows)} - {0}):
        step = int(rows[end - 1]["step"] or 0)
        for finding in diagnose(rows[:end], ended=ended and end == len(rows)):
            first = seen[finding.name][1] if finding.name in seen else step
            seen[finding.name] = finding, first, step
    now = int(rows[-1]["step"] or 0) if rows else 0
    passages = [
        _Passage(finding=finding, first=first, last=last, standing=last == now)
        for finding, first, last in seen.values()
    ]
    return sorted(passages, key=lambda p: (not p.standing, p.finding.level != "cannot learn", p.first))


def _benchmark(scores: Scores) -> dict[str, Any]:
    one = scores.overall
    return {
        "model": scores.provenance.get("model", ""),
        "name": scores.provenance.get("benchmark", {}).get("name", ""),
        "pass": share_text(one.pass_at_1),
        "interval": _interval(one),
        "cons": "" if 16 not in one.cons_at else f"{100 * one.cons_at[16]:.1f} %",
        "tokens": f"{one.mean_tokens:,.0f}",
        "truncated": f"{100 * one.truncated:.1f} %",
        "problems": f"{one.problems:,} x {one.samples}",
        "invalid": scores.invalid,
    }


def _all_metrics(rows: Sequence[Row]) -> list[dict[str, str]]:
    found = []
    for key in sorted({key for row in rows for key in row} - {"step"}):
        values = [value for row in rows if (value := row.get(key)) is not None]
        if values:
            known = find_key(key)
            numbers = (values[0], values[-1], min(values), max(values))
            first, last, low, high = (number_text(value) for value in numbers)
            meaning, unit = (known.meaning, known.unit) if known is not None else ("", "")
            found.append(
                {"key": key, "first": first, "last": last, "low": low, "high": high, "unit": unit, "meaning": meaning}
            )
    return found


def _marked(text: str) -> Markup:
    """The text with tags and reflection words marked; the middle of a very long one is left out."""
    head, tail = _SHOWN_CHARS
    if len(text) > head + tail:
        gap = Markup('<span class="gap">... {} characters ...</span>').format(f"{len(text) - head - tail:,}")
        return _highlight(text[:head]) + gap + _highlight(text[-tail:])
    return _highlight(text)


def _highlight(text: str) -> Markup:
    parts, at = [], 0
    for match in _WORDS.finditer(text):
        kind = "tag" if match.group(1) else "reflection"
        parts += [escape(text[at : match.start()]), Markup('<span class="{}">{}</span>').format(kind, match.group())]
        at = match.end()
    return Markup("").join([*parts, escape(text[at:])])
