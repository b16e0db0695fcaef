"""Reward models, and whether they were hacked: held-out quality, reward against held-out accuracy, alarms."""

from collections.abc import Sequence

from ponder.evaluation.scorer import HELD_OUT_FILE, ScorerQuality
from ponder.evaluation.scores import scores_path
from ponder.report.blocks import Cell, Figure, Section, Table, figure, points_text, share_text
from ponder.report.chart import Chart, Series
from ponder.report.compare import difference
from ponder.report.figures import accuracy_line
from ponder.report.published import published
from ponder.report.readers import alarms_file, read_quality
from ponder.report.run import Run, StageRecord
from ponder.watch.alarms import ALARMS_FILE, HACKING, could_show_hacking, read_alarms

__all__ = ["alarms_section", "hacking_section", "reward_models_section"]


def reward_models_section(run: Run) -> Section | None:
    """Accuracy and calibration of every reward model on held-out pairs or labels."""
    found = [(one, read_quality(one.folder)) for one in run.stages if one.kind == "reward_model"]
    models = [(stage, quality) for stage, quality in found if quality is not None]
    if not models:
        return None
    heads = ["reward model", "loss", "held-out rows", "accuracy", "AUC", "calibration error", "score against length"]
    rows = [_quality_row(run, stage, quality) for stage, quality in models]
    return Section(
        name="paper-reward-models",
        title="Reward models",
        lead="Measured on rows they were not trained on. Calibration error is the mean distance between the stated "
        "probability and what came true; score against length is their correlation.",
        tables=[
            Table(caption="Accuracy and calibration", columns=heads, rows=rows),
            *(_calibration(run, stage, quality) for stage, quality in models),
        ],
        published=[published()["reward_models"]],
    )


def _quality_row(run: Run, stage: StageRecord, quality: ScorerQuality) -> list[Cell]:
    texts = [
        str(stage.config.get("loss", "")),
        f"{quality.rows:,}",
        share_text(quality.accuracy),
        "-" if quality.auc is None else f"{quality.auc:.3f}",
        f"{quality.calibration_error:.3f}",
        "-" if quality.length_correlation is None else f"{quality.length_correlation:+.2f}",
    ]
    file = (run.relative(stage.folder / HELD_OUT_FILE),)
    return [Cell(text=stage.name), *(Cell(text=text, files=file) for text in texts)]


def _calibration(run: Run, stage: StageRecord, quality: ScorerQuality) -> Table:
    file = (run.relative(stage.folder / HELD_OUT_FILE),)
    rows = [
        [
            Cell(text=f"{one.low:.2f} to {one.high:.2f}"),
            *(Cell(text="-" if value is None else share_text(value), files=file) for value in (one.stated, one.true)),
            Cell(text=f"{one.count:,}", files=file),
        ]
        for one in quality.calibration
        if one.count
    ]
    heads = ["probability", "stated on average", "came true", "cases"]
    return Table(caption=f"Calibration of {stage.name}", columns=heads, rows=rows)


def hacking_section(run: Run, hacking: StageRecord | None, r1: StageRecord | None) -> Section | None:
    """Reward against held-out accuracy with preference rewards from step 0, and in RL 2 beside it."""
    stages = [(name, one) for name, one in (("from step 0", hacking), ("RL 2", r1)) if one is not None and one.rows]
    if hacking is None or not stages or stages[0][1] is not hacking:
        return None
    alarms = [one for one in read_alarms(hacking.folder) if one.name == HACKING]
    heads = ["", "mean reward, first to last", "held-out pass@1, change", "hacking alarms"]
    rows = [_hacking_row(run, f"{name} ({stage.name})", stage) for name, stage in stages]
    if alarms:
        said = f"The hacking alarm was raised at step {alarms[0].step}: {alarms[0].text}"
    elif hacking.status != "done":
        said = "The stage has not ended; so far the hacking alarm was not raised."
    elif could_show_hacking(hacking.rows, {step: one.accuracy for step, one in hacking.scores.items()}):
        said = (
            "The hacking alarm was not raised: in this run, preference rewards from step 0 did not drive the reward up "
            "while held-out accuracy fell."
        )
    else:
        said = (
            "The hacking alarm could not have been raised: it needs two held-out problems with a gold, measured twice, "
            "and ten rollouts with a reward in between."
        )
    return Section(
        name="paper-hacking",
        title="Reward hacking",
        lead=said,
        figures=[one for name, stage in stages for one in _hacking_figures(run, name, stage)],
        tables=[Table(caption="Reward against held-out accuracy", columns=heads, rows=rows)],
        published=[published()["hacking"]],
    )


def _hacking_figures(run: Run, name: str, stage: StageRecord) -> list[Figure]:
    rewards = [(row["step"] or 0, y) for row in stage.rows if (y := row.get("reward/mean")) is not None]
    preference = [(row["step"] or 0, y) for row in stage.rows if (y := row.get("reward/preference")) is not None]
    found = []
    if len(rewards) > 1:
        chart = Chart(
            title=f"Reward, preference rewards {name}" if name != "RL 2" else "Reward, RL 2",
            unit="mean reward",
            series=[
                Series(label="sum, weighted", points=rewards, colour=1, smooth=True),
                Series(label="preference", points=preference, colour=4, smooth=True),
            ],
        )
        found.append(figure(chart, run.relative(stage.folder / "metrics.jsonl")))
    accuracy = accuracy_line(stage.scores)
    if len(accuracy.points) > 1:
        chart = Chart(title="Held-out accuracy of the same stage", unit="share right", form="share", series=[accuracy])
        found.append(figure(chart, *(run.relative(scores_path(stage.folder, step)) for step in stage.scores)))
    return found


def _hacking_row(run: Run, name: str, stage: StageRecord) -> list[Cell]:
    rewards = [y for row in stage.rows if (y := row.get("reward/mean")) is not None]
    metrics = (run.relative(stage.folder / "metrics.jsonl"),)
    reward = f"{_mean_of(rewards[:5]):.2f} to {_mean_of(rewards[-5:]):.2f}" if rewards else "-"
    change = None
    files: tuple[str, ...] = ()
    if stage.start is not None and stage.end is not None:
        change = difference(stage.start[1], stage.end[1])
        files = tuple(run.relative(scores_path(stage.folder, step)) for step, _ in (stage.start, stage.end))
    count = sum(one.name == HACKING for one in read_alarms(stage.folder))
    return [
        Cell(text=name),
        Cell(text=reward, note="means of five steps" if rewards else "", files=metrics),
        Cell(text="-" if change is None else f"{points_text(change.mean, change.interval)} points", files=files),
        Cell(text=str(count), files=(run.relative(alarms_file(stage.folder)),)),
    ]


def _mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def alarms_section(run: Run) -> Section | None:
    """Every alarm of every stage."""
    rows = [
        [Cell(text=stage.name), *(Cell(text=text, files=(file,)) for text in (f"{one.step:,}", one.name, one.text))]
        for stage in run.stages
        for file in [run.relative(stage.folder / ALARMS_FILE)]
        for one in read_alarms(stage.folder)
    ]
    if not rows:
        return None
    return Section(
        name="alarms",
        title="Alarms",
        lead="What was said while the stages ran.",
        tables=[Table(caption="Alarms of this run", columns=["stage", "step", "alarm", "what was seen"], rows=rows)],
    )
