"""R1-Zero over its steps: accuracy and majority vote, length, reflection words by word, and an aha moment."""

from ponder.evaluation.scores import Scores, scores_path
from ponder.report.blocks import Cell, Figure, Section, Table, figure, plain_text, share_text
from ponder.report.chart import Chart, Series
from ponder.report.figures import accuracy_line
from ponder.report.moment import Reflections, most_used
from ponder.report.published import published
from ponder.report.run import Run, StageRecord

__all__ = ["course_section"]

_MOST_WORDS = 8


def course_section(run: Run, stage: StageRecord, reflections: Reflections | None) -> Section | None:
    """The paper's figures 1 and extended data 1 from the stage that plays R1-Zero; None before two evaluations."""
    figures = _accuracy_and_length(run, stage)
    if reflections is not None:
        figures += _words(run, reflections)
    if not figures:
        return None
    more = "" if reflections is not None else " Words are counted once the stage is done."
    return Section(
        name="paper-zero",
        title="Pure RL: accuracy, length, reflection",
        lead=f"Stage {stage.name}, from {stage.config.get('model')}, rewarded for "
        f"{' and '.join(stage.config.get('rewards', {}))} alone.{more}",
        figures=figures,
        tables=[_ends(run, stage)] if stage.start is not None and stage.end is not None else [],
        published=[published()["zero"]],
    )


def _accuracy_and_length(run: Run, stage: StageRecord) -> list[Figure]:
    scores = stage.scores
    if len(scores) < 2:
        return []
    files = [run.relative(scores_path(stage.folder, step)) for step in scores]
    pass_at_1 = accuracy_line(scores)
    votes = [(step, vote) for step, one in scores.items() if (vote := one.overall.cons_at.get(16)) is not None]
    accuracy = Chart(
        title="Held-out accuracy",
        unit="share right",
        form="share",
        note="Band: 95 % interval over problems.",
        series=[
            pass_at_1,
            Series(label="cons@16 (where 16 samples were drawn)", points=votes, colour=1, marks=True),
        ],
    )
    length = Chart(
        title="Length of held-out completions",
        unit="mean tokens",
        series=[
            Series(
                label="mean tokens",
                points=[(step, one.overall.mean_tokens) for step, one in scores.items()],
                marks=True,
            )
        ],
    )
    return [*([figure(accuracy, *files)] if pass_at_1.points else []), figure(length, *files)]


def _words(run: Run, reflections: Reflections) -> list[Figure]:
    files = [run.relative(path) for path in reflections.files_read]
    chosen = most_used(reflections.words, _MOST_WORDS)
    part = ""
    if len(reflections.files_read) < reflections.files:
        part = f" From {len(reflections.files_read)} of {reflections.files} files of rollouts."
    words = Chart(
        title="Reflection words in training, by word",
        unit="per 100 completions",
        note=f"The {len(chosen)} most used of {len(reflections.words)} found.{part}",
        series=[
            Series(label=word, points=[(s, y) for s, y in reflections.words[word].items()], colour=i, smooth=True)
            for i, word in enumerate(chosen)
        ],
    )
    corrected = Chart(
        title="Completions that correct themselves",
        unit="share of completions",
        form="share",
        note="The rule stands below.",
        series=[Series(label="taken back", points=list(reflections.corrected.items()), smooth=True)],
    )
    steps = len(reflections.corrected)
    return [figure(words, *files), figure(corrected, *files)] if steps > 1 and chosen else []


def _ends(run: Run, stage: StageRecord) -> Table:
    assert stage.start is not None and stage.end is not None
    points = [stage.start, stage.end]
    files = [(run.relative(scores_path(stage.folder, step)),) for step, _ in points]
    rows = [
        ("held-out pass@1", [share_text(one.overall.pass_at_1) for _, one in points], files),
        ("held-out cons@16", [_share(one.overall.cons_at.get(16)) for _, one in points], files),
        ("mean completion length", [f"{one.overall.mean_tokens:.1f} tokens" for _, one in points], files),
        ("reflection words", [f"{plain_text(_words_each(one))} per completion" for _, one in points], files),
        ("updates", [f"{step:,}" for step, _ in points], files),
    ]
    return Table(
        caption="This run, start and end",
        columns=["", "start", "end"],
        rows=[
            [Cell(text=name), *(Cell(text=text, files=file) for text, file in zip(texts, where, strict=True))]
            for name, texts, where in rows
        ],
    )


def _share(value: float | None) -> str:
    return "-" if value is None else share_text(value)


def _words_each(scores: Scores) -> float:
    """Reflection words of a mean completion, from words per 1,000 tokens."""
    return scores.overall.reflection_per_1k_tokens * scores.overall.mean_tokens / 1000
