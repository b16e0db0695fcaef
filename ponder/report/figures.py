"""Which charts a stage gets, from its metrics and evaluations; a chart without data is left out."""

from collections.abc import Mapping, Sequence

from ponder.evaluation.scores import Scores
from ponder.report.chart import Chart, Form, Series
from ponder.report.run import StageRecord
from ponder.watch.metrics import Row
from ponder.watch.phases import seconds_spent

__all__ = ["accuracy_line", "charts"]


def charts(stage: StageRecord) -> list[Chart]:
    """The charts of an `rl` or `pretrain` stage, in reading order."""
    rows, scores = stage.rows, stage.scores
    found = (
        _accuracy(rows, scores),
        _by_domain(scores),
        _length(rows, scores),
        _one(rows, scores, "Reflection words", "per 1k tokens", "reflection_per_1k_tokens"),
        _rewards(rows),
        _lines("Groups", "share of groups", rows, _GROUPS, "share", "Only useful groups carry a gradient."),
        _lines("Entropy", "nats per token", rows, (("entropy", "policy/entropy"),)),
        _lines("Divergence from the reference", "KL, nats per token", rows, (("KL", "policy/kl"),)),
        _one(rows, scores, "Language consistency", "share of words", "language_consistency", "share"),
        _lines("What goes wrong", "share of completions", rows, _TROUBLES, "share"),
        _lines("Loss", "nats per token", rows, _LOSSES),
        _phases(rows),
        _lines("Speed", "tokens per second", rows, (("tokens per second", "speed/tokens_per_second"),)),
        _lines("Gradient norm before clipping", "norm", rows, (("gradient norm", "optimizer/grad_norm"),)),
        _lines("Engine and trainer disagree by", "nats per token", rows, (("mismatch", "policy/mismatch"),)),
    )
    return [chart for chart in found if chart is not None]


_GROUPS = (("useful", "groups/useful"), ("all right", "groups/all_right"), ("all wrong", "groups/all_wrong"))
_LOSSES = (("next-token loss", "loss/next_token"), ("validation", "loss/validation"))
_TROUBLES = (
    ("truncated", "rollout/truncated"),
    ("no answer", "rollout/empty_answer"),
    ("ends in a loop", "rollout/repetition"),
    ("cannot tell", "rollout/cannot_tell"),
)


def _points(rows: Sequence[Row], key: str) -> list[tuple[float, float]]:
    return [(step, y) for row in rows if (step := row["step"]) is not None and (y := row.get(key)) is not None]


def _chart(
    title: str, unit: str, series: Sequence[Series], form: Form = "number", note: str = "", stacked: bool = False
) -> Chart | None:
    """None where there is no line to draw: a single point stands in the tables."""
    some = [one for one in series if one.points]
    if not any(len(one.points) > 1 for one in some):
        return None
    return Chart(title=title, unit=unit, series=some, form=form, note=note, stacked=stacked)


def _lines(
    title: str, unit: str, rows: Sequence[Row], keys: Sequence[tuple[str, str]], form: Form = "number", note: str = ""
) -> Chart | None:
    series = [
        Series(label=label, points=_points(rows, key), colour=i, smooth=True) for i, (label, key) in enumerate(keys)
    ]
    return _chart(title, unit, series, form, note)


def accuracy_line(scores: Mapping[int, Scores], label: str = "pass@1") -> Series:
    """pass@1 by step with its interval; no points where no problem has a gold."""
    known = {step: one.overall for step, one in scores.items() if one.overall.pass_at}
    return Series(
        label=label,
        points=[(step, one.pass_at_1) for step, one in known.items()],
        low=[one.interval[0] for one in known.values()],
        high=[one.interval[1] for one in known.values()],
        marks=True,
    )


def _accuracy(rows: Sequence[Row], scores: Mapping[int, Scores]) -> Chart | None:
    training = Series(label="training", points=_points(rows, "rollout/accuracy"), colour=1, smooth=True)
    held_out = accuracy_line(scores, "held-out pass@1")
    note = "Band: 95 % interval over problems." if held_out.points else ""
    return _chart("Accuracy", "share right", [held_out, training], "share", note)


def _by_domain(scores: Mapping[int, Scores]) -> Chart | None:
    names = sorted({name for one in scores.values() for name in one.by.get("domain", {})})
    if len(names) < 2 or len(scores) < 2:
        return None
    series = [
        Series(
            label=name,
            points=[
                (step, part.pass_at_1)
                for step, one in scores.items()
                if (part := one.by.get("domain", {}).get(name)) is not None and part.pass_at
            ],
            colour=i,
            marks=True,
        )
        for i, name in enumerate(names[:8])
    ]
    note = f"{len(names) - 8} more in the table below." if len(names) > 8 else ""
    return _chart("Held-out accuracy by task", "pass@1", series, "share", note)


def _length(rows: Sequence[Row], scores: Mapping[int, Scores]) -> Chart | None:
    series = (
        _measured(scores, "mean_tokens", 0),
        Series(label="training", points=_points(rows, "rollout/mean_tokens"), colour=1, smooth=True),
        Series(label="right ones", points=_points(rows, "rollout/mean_tokens_right"), colour=2, smooth=True),
        Series(label="wrong ones", points=_points(rows, "rollout/mean_tokens_wrong"), colour=3, smooth=True),
    )
    return _chart("Response length", "tokens", series)


def _measured(scores: Mapping[int, Scores], name: str, colour: int) -> Series:
    values = ((step, one.overall.to_json()[name]) for step, one in scores.items())
    return Series(label="held-out", points=[(x, y) for x, y in values if y is not None], colour=colour, marks=True)


def _one(
    rows: Sequence[Row], scores: Mapping[int, Scores], title: str, unit: str, name: str, form: Form = "number"
) -> Chart | None:
    training = Series(label="training", points=_points(rows, f"rollout/{name}"), colour=1, smooth=True)
    return _chart(title, unit, [_measured(scores, name, 0), training], form)


def _rewards(rows: Sequence[Row]) -> Chart | None:
    names = sorted({key for row in rows for key in row if key.startswith("reward/")} - {"reward/mean", "reward/std"})
    keys = [("sum, weighted", "reward/mean"), *((name.removeprefix("reward/"), name) for name in names)]
    return _lines("Rewards", "mean reward", rows, keys)


def _phases(rows: Sequence[Row]) -> Chart | None:
    spent = [{"step": row["step"], **seconds_spent(row)} for row in rows]
    names = dict.fromkeys(name for row in spent for name, seconds in row.items() if name != "step" and seconds)
    series = [Series(label=name, points=_points(spent, name), colour=i) for i, name in enumerate(names)]
    return _chart("Where the time goes", "seconds per step", series, stacked=True)
