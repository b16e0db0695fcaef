"""`ponder show`: how far a run is and what it reached, as tables for people or as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ponder.evaluation.paired import read_paired
from ponder.evaluation.scorer import HELD_OUT_FILE
from ponder.evaluation.scores import Score
from ponder.evaluation.win_rate import read_win_rates
from ponder.files import read_json
from ponder.records import Rollout
from ponder.report.compare import NAMES, difference
from ponder.report.paper import claim_text, read_phenomena
from ponder.report.phenomena import Phenomenon
from ponder.report.run import Run, StageRecord, read_run
from ponder.terminal import print_table, shown, terminal
from ponder.watch.alarms import read_alarms
from ponder.watch.diagnose import diagnose
from ponder.watch.losses import losses_text, read_losses
from ponder.watch.pace import seconds_text
from ponder.watch.rollouts import read_last_step

__all__ = ["show_run"]

_LINES = 12  # of a sample completion
_COLOURS = {"done": "green", "running": "blue", "failed": "red", "killed": "red", "interrupted": "yellow"}


def show_run(run: Path, as_json: bool = False) -> None:
    """Print each stage's status, seconds and scores at start and end, to stdout; RunFolderError if `run` is no run."""
    record = read_run(run)
    if as_json:
        print(json.dumps(_as_json(record), ensure_ascii=False, indent=2))
        return
    console = terminal()
    print_table(_stages(record), console)
    for stage in record.stages:
        _print_stage(stage, console)
    if found := [one for one in read_phenomena(record) if one.measured]:
        print_table(_phenomena(found), console)


def _as_json(run: Run) -> dict[str, Any]:
    return {
        "name": run.name,
        "stages": {stage.name: _stage_json(stage) for stage in run.stages},
        "phenomena": [one.to_json() for one in read_phenomena(run)],
    }


def _stage_json(stage: StageRecord) -> dict[str, Any]:
    """`start` is the evaluation before any update, `end` the latest one after it; empty where there is none."""
    start, end = stage.start, stage.end
    value: dict[str, Any] = {
        "kind": stage.kind,
        "status": stage.status,
        "seconds": round(stage.seconds, 3),
        "step": stage.rows[-1]["step"] if stage.rows else None,
        "start": start[1].overall.to_json() if start is not None else {},
        "end": end[1].overall.to_json() if end is not None else {},
    }
    if start is not None and end is not None and (change := difference(start[1], end[1])) is not None:
        value["change"] = {"pass@1": change.mean, "pass@1_interval": list(change.interval)}
    if stage.error is not None:
        value["error"] = stage.error
    if stage.benchmarks:
        value["benchmarks"] = _by_model(stage)
        value["paired"] = [pair.to_json() for pair in read_paired(stage.folder)]
    if stage.kind == "reward_model" and (stage.folder / HELD_OUT_FILE).is_file():
        value["held_out"] = read_json(stage.folder / HELD_OUT_FILE)
    if losses := read_losses(stage.folder):
        value["losses"] = [asdict(loss) for loss in losses]
    if alarms := read_alarms(stage.folder):
        value["alarms"] = [asdict(alarm) for alarm in alarms]
    if findings := diagnose(stage.rows, ended=_ended(stage)):
        value["findings"] = [finding.text for finding in findings]
    return value


def _by_model(stage: StageRecord) -> dict[str, dict[str, Any]]:
    """Model -> benchmark -> its numbers, win rates against the baseline included."""
    rates = read_win_rates(stage.folder)
    found: dict[str, dict[str, Any]] = {}
    for name, scores in stage.benchmarks.items():
        model, benchmark = str(scores.provenance["model"]), str(scores.provenance["benchmark"]["name"])
        numbers = scores.overall.to_json() | {"invalid": scores.invalid, "file": f"{name}.json"}
        found.setdefault(model, {})[benchmark] = {**numbers, **rates.get(benchmark, {}).get(model, {})}
    return found


def _ended(stage: StageRecord) -> bool:
    return stage.status == "done"


def _stages(run: Run) -> Table:
    table = Table(title=f"{run.name}{' (smoke run)' if run.smoke else ''}", title_justify="left")
    for name in ("stage", "kind", "status", "time", "step"):
        table.add_column(name, justify="right" if name in ("time", "step") else "left")
    for stage in run.stages:
        colour = _COLOURS.get(stage.status, "dim")
        table.add_row(
            stage.name,
            stage.kind,
            Text(stage.status, colour),
            seconds_text(stage.seconds) if stage.seconds else "",
            f"{stage.rows[-1]['step']:.0f}" if stage.rows and stage.rows[-1]["step"] is not None else "",
        )
    return table


def _print_stage(stage: StageRecord, console: Console) -> None:
    if stage.error is not None:
        console.print(f"{stage.name}: {stage.error}", style="red", soft_wrap=True)
    for finding in diagnose(stage.rows, ended=_ended(stage)):
        console.print(f"{stage.name}: {finding.text}", style="yellow", soft_wrap=True)
    if lost := losses_text(read_losses(stage.folder)):
        console.print(f"{stage.name}: {lost}", style="yellow", soft_wrap=True)
    for alarm in read_alarms(stage.folder):
        line = f"{stage.name}: alarm at step {alarm.step}: {alarm.text}"
        console.print(line, style="red", soft_wrap=True)
    if stage.start is not None or stage.end is not None:
        print_table(_scores(stage), console)
    if stage.kind == "reward_model" and (stage.folder / HELD_OUT_FILE).is_file():
        print_table(_calibration(stage.name, read_json(stage.folder / HELD_OUT_FILE)), console)
    if stage.benchmarks:
        print_table(_benchmarks(stage), console)
    for pair in read_paired(stage.folder):
        low, high = (100 * bound for bound in pair.interval)
        console.print(
            f"{pair.benchmark}: {pair.second} less {pair.first} {100 * pair.difference:+.1f} points "
            f"({low:+.1f} to {high:+.1f}){'' if pair.significant else ', may be chance'}",
            soft_wrap=True,
        )
    for step, rollout in _samples(stage.folder):
        _print_sample(stage.name, step, rollout, console)


def _phenomena(found: Sequence[Phenomenon]) -> Table:
    table = Table(title="phenomena of R1", title_justify="left")
    table.add_column("")
    table.add_column("measured, 95 % interval", justify="right")
    table.add_column("verdict")
    for one in found:
        table.add_row(Text(f"{one.number}. {one.name}", "bold"), "", Text(one.verdict, "bold"))
        for claim in one.claims:
            if claim.value is not None:  # else the stages it speaks of are not there, or not so far
                table.add_row(claim.text, claim_text(claim), claim.verdict or "reported")
        table.add_section()
    return table


def _scores(stage: StageRecord) -> Table:
    start, end = stage.start, stage.end
    table = Table(title=f"{stage.name}: held-out problems", title_justify="left")
    table.add_column("")
    columns: list[tuple[str, Score]] = []
    for label, point in (("start", start), ("end", end)):
        if point is not None:
            table.add_column(f"{label} (step {point[0]})", justify="right")
            columns.append((label, point[1].overall))
    values = [score.to_json() for _, score in columns]
    for name, form in NAMES:
        if any(value.get(name) is not None for value in values):
            table.add_row(name, *(_cell(value, name, form) for value in values))
    if start is not None and end is not None and (change := difference(start[1], end[1])) is not None:
        low, high = (100 * bound for bound in change.interval)
        table.caption = f"pass@1 {100 * change.mean:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f} (paired)"
    return table


def _cell(value: dict[str, Any], name: str, form: str) -> str:
    number = value.get(name)
    if number is None:
        return "-"
    text = f"{100 * number:.1f} %" if form == "share" else f"{number:,.1f}"
    if name == "pass@1":
        low, high = value["pass@1_interval"]
        text += f" ({100 * low:.1f} to {100 * high:.1f})"
    return text


def _benchmarks(stage: StageRecord) -> Table:
    table = Table(title=f"{stage.name}: benchmarks", title_justify="left")
    for name in ("model on benchmark", "pass@1", "cons@16", "mean tokens", "truncated"):
        table.add_column(name, justify="left" if name == "model on benchmark" else "right")
    for name, scores in stage.benchmarks.items():
        value = scores.overall.to_json()
        cells = [("pass@1", "share"), ("cons@16", "share"), ("mean_tokens", "number"), ("truncated", "share")]
        table.add_row(name.replace("--", " on "), *(_cell(value, key, form) for key, form in cells))
    return table


def _calibration(name: str, quality: Mapping[str, Any]) -> Table:
    """How good a reward model is on held-out rows, and whether its probabilities come true."""
    table = Table(title=f"{name}: reward model on {quality['rows']:,} held-out rows", title_justify="left")
    for column in ("probability", "rows", "stated", "came true"):
        table.add_column(column, justify="right")
    for one in quality["calibration"]:
        if one["count"]:
            span = f"{one['low']:.2f} to {one['high']:.2f}"
            table.add_row(span, f"{one['count']:,}", f"{100 * one['stated']:.0f} %", f"{100 * one['true']:.0f} %")
    auc = "" if quality["auc"] is None else f", area under the curve {quality['auc']:.3f}"
    length = quality["length_correlation"]
    table.caption = (
        f"accuracy {100 * quality['accuracy']:.1f} %{auc}, calibration error {quality['calibration_error']:.3f}"
        + ("" if length is None else f", correlation with length {length:+.2f}")
    )
    return table


def _samples(folder: Path) -> Sequence[tuple[int, Rollout]]:
    """Of the latest step's rollouts the first right, the first wrong and the first truncated one."""
    found: dict[str, tuple[int, Rollout]] = {}
    for logged in read_last_step(folder):
        cut = logged.rollout.completion.finish_reason == "length"
        found.setdefault("cut" if cut else logged.rollout.verdict.outcome, (logged.step, logged.rollout))
    return [found[kind] for kind in ("right", "wrong", "cut") if kind in found]


def _print_sample(stage: str, step: int, rollout: Rollout, console: Console) -> None:
    completion, verdict = rollout.completion, rollout.verdict
    rewards = ", ".join(f"{name} {value:g}" for name, value in rollout.rewards.items() if value is not None)
    console.rule(shown(f"{stage}, step {step}: {rollout.problem.id}"), align="left", style="dim")
    console.print(shown(rollout.problem.prompt), style="bold", soft_wrap=True)
    text = completion.text
    if completion.talk is not None:
        text = "\n".join(f"[{message.role}] {message.content}" for message in completion.talk.messages)
    lines = text.splitlines()
    console.print(shown("\n".join(lines[:_LINES])), soft_wrap=True)
    if len(lines) > _LINES:
        console.print(f"... {len(lines) - _LINES} more lines", style="dim")
    ending = "cut off at" if completion.finish_reason == "length" else "in"
    console.print(
        f"{verdict.outcome.replace('_', ' ')} ({verdict.reason}), {ending} {len(completion.token_ids)} tokens; "
        f"reward {rollout.reward:g} ({rewards})",
        style="green" if verdict.outcome == "right" else "red",
        soft_wrap=True,
    )
