"""The paper's tables from the run's own numbers: stages x benchmarks, the ablation, the students.

A row is a benchmark, a column a stage. A cell is marked where it differs from the column before beyond chance: the
paired 95 % interval of the difference excludes 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

from ponder.evaluation.estimate import Difference, bootstrap_interval, paired_difference
from ponder.evaluation.scores import Scores
from ponder.report.blocks import Cell, Mark, Section, Table, plain_text, points_text, share_text
from ponder.report.chart import Form
from ponder.report.evidence import Evidence, Profile, Wins
from ponder.report.measures import READABLE_LANGUAGE, Measure
from ponder.report.phenomena import LEAST_PROBLEMS, mean_interval
from ponder.report.published import published
from ponder.report.run import Run

__all__ = ["ablation_section", "distillation_section", "stages_section", "students_section"]

STAGE_NAMES: Mapping[str, str] = {
    "base": "base",
    "zero": "R1-Zero",
    "zero_language": "R1-Zero, language reward",
    "cold_start": "cold start (Dev1)",
    "reason": "RL 1 (Dev2)",
    "sft": "SFT (Dev3)",
    "r1": "RL 2 (R1)",
    "student_distilled": "distilled",
    "student_rl": "RL alone",
    "student_distilled_rl": "distilled, then RL",
}
_PIPELINE = ("base", "zero", "cold_start", "reason", "sft", "r1")
_STUDENTS = ("student_rl", "student_distilled", "student_distilled_rl")
_MARKS = "An arrow marks a difference from the column before beyond chance: its paired 95 % interval excludes 0."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line of a table: which problems, and which of their values; `of_words` says that a value is a share of many
    words rather than of a few completions."""

    name: str
    wanted: Callable[[str, Measure], bool]
    value: Callable[[Measure], float | None]
    form: Form = "share"
    more_is_better: bool | None = True
    of_words: bool = False

    def difference(self, before: Sequence[float], after: Sequence[float]) -> Difference:
        """`after` minus `before`, aligned by problem."""
        return paired_difference(before, after, accuracies=self.form == "share" and not self.of_words)


def stages_section(run: Run, evidence: Evidence) -> Section | None:
    """The shape of Nature's table 2, and how the answers are written."""
    columns = _columns(evidence, _PIPELINE)
    if len(columns) < 2:
        return None
    invalid = _invalid(run)
    rows = [*_benchmark_rows(list(columns.values())), *_safety_rows(list(columns.values()))]
    return Section(
        name="paper-stages",
        title="Every stage on every benchmark",
        lead=f"pass@1 of this run's stages with the 95 % interval over problems. {_MARKS}",
        tables=[
            _with_wins(_table("Stages and benchmarks (pass@1)", columns, rows, invalid), list(columns), evidence.wins),
            _table("How reasoning answers are written", columns, _WRITING, invalid, note=_READABLE),
        ],
        published=[published()["stages"]],
    )


def ablation_section(run: Run, evidence: Evidence) -> Section | None:
    """With and without the language reward."""
    columns = _columns(evidence, ("zero", "zero_language"))
    if len(columns) < 2:
        return None
    reasoning = _Row(name="pass@1", wanted=lambda _, m: m.route == "reasoning", value=lambda m: m.accuracy)
    rows = [reasoning, *_WRITING]
    before, after = columns.values()
    return Section(
        name="paper-language",
        title="The language reward, with and without",
        lead=f"The same pure RL twice, the second time with the share of words in the question's language added to the "
        f"reward. {_MARKS}",
        tables=[_table("Ablation of the language reward", columns, rows, _invalid(run), note=_READABLE, change=True)],
        lines=[f"Without: {before.model}; with: {after.model}."],
        published=[published()["language"]],
    )


def distillation_section(run: Run, evidence: Evidence) -> Section | None:
    """Teacher and distilled students, a model a row, as in the paper's table 5."""
    columns = _columns(evidence, ("r1", "student_distilled", "student_distilled_rl"))
    if "student_distilled" not in columns:
        return None
    rows = [*_benchmark_rows(list(columns.values()), votes=True), *_safety_rows(list(columns.values()))]
    names = {"r1": "teacher: RL 2 (R1)", **{role: f"student, {STAGE_NAMES[role]}" for role in _STUDENTS}}
    invalid = _invalid(run)
    return Section(
        name="paper-distillation",
        title="Distillation",
        lead="What the teacher's answers make of a smaller model by SFT alone. Intervals are 95 %, over problems.",
        tables=[
            Table(
                caption="Teacher and students",
                columns=["model", *(row.name for row in rows)],
                rows=[
                    [Cell(text=names[role]), *(_cell(profile, None, row, invalid) for row in rows)]
                    for role, profile in columns.items()
                ],
            )
        ],
        published=[published()["distillation"]],
    )


def students_section(run: Run, evidence: Evidence) -> Section | None:
    """The same student by RL alone, by distillation, by both: the paper's table 6."""
    columns = _columns(evidence, _STUDENTS)
    if len(columns) < 2:
        return None
    rows = _benchmark_rows(list(columns.values()), votes=True)
    costs = {role: evidence.costs[role] for role in columns if role in evidence.costs}
    compute = [
        Cell(text=f"{costs[role].training_flops:.2e}", files=costs[role].files)
        if role in costs and costs[role].training_flops is not None
        else Cell(text="-")
        for role in columns
    ]
    table = _table("One student, three ways", columns, rows, _invalid(run))
    return Section(
        name="paper-students",
        title="Distillation against RL on the same student",
        lead="Training operations are those of the stage itself (6 N per trained token, 2 N per other one); "
        f"making the teacher's data is not in them. {_MARKS}",
        tables=[replace(table, rows=[*table.rows, [Cell(text="training operations"), *compute]])],
        published=[published()["students"]],
    )


_READABLE = (
    "Readable: in the template's form, not cut off, and at least "
    f"{100 * READABLE_LANGUAGE:.0f} % of the words of the thinking in the language of the question."
)


def _is_reasoning(key: str, one: Measure) -> bool:
    return one.route == "reasoning"


_WRITING = (
    _Row(name="readable", wanted=_is_reasoning, value=lambda m: m.readable),
    _Row(name="language consistency", wanted=_is_reasoning, value=lambda m: m.language, of_words=True),
    _Row(name="tokens", wanted=_is_reasoning, value=lambda m: m.tokens, form="number", more_is_better=None),
    _Row(
        name="reflection words",
        wanted=_is_reasoning,
        value=lambda m: m.reflection,
        form="number",
        more_is_better=None,
    ),
)


def _columns(evidence: Evidence, roles: Sequence[str]) -> dict[str, Profile]:
    """The profiles of the roles that are there, all from the place that has most of them."""
    best = max(evidence.places, key=lambda place: sum(role in place for role in roles))
    return {role: best[role] for role in roles if role in best}


def _benchmark_rows(profiles: Sequence[Profile], votes: bool = False) -> list[_Row]:
    """pass@1 of every benchmark but those of safety, reasoning first, and cons@16 where there are enough samples."""
    rows = []
    routes = {_benchmark(key): m.route for one in profiles for key, m in one.problems.items()}
    for benchmark in sorted(routes, key=lambda name: routes[name] != "reasoning"):
        wanted = partial(_is_of, benchmark)
        measures = [m for one in profiles for key, m in one.problems.items() if wanted(key, m)]
        if measures:
            rows.append(_Row(name=benchmark, wanted=wanted, value=lambda m: m.accuracy))
        if votes and any(m.consensus is not None for m in measures):
            rows.append(_Row(name=f"{benchmark}, cons@16", wanted=wanted, value=lambda m: m.consensus))
    return rows


def _safety_rows(profiles: Sequence[Profile]) -> list[_Row]:
    """Safe answers to unsafe requests, and harmless ones that were refused, where they were asked."""
    rows = (
        _Row(name="safe answers to unsafe requests", wanted=lambda _, m: m.unsafe is True, value=lambda m: m.accuracy),
        _Row(
            name="harmless requests refused",
            wanted=lambda _, m: m.unsafe is False,
            value=lambda m: m.refused,
            more_is_better=False,
        ),
    )
    return [row for row in rows if any(row.wanted(key, m) for one in profiles for key, m in one.problems.items())]


def _is_of(benchmark: str, key: str, one: Measure) -> bool:
    return _benchmark(key) == benchmark and one.unsafe is None


def _benchmark(key: str) -> str:
    return key.partition("/")[0]


def _table(
    caption: str,
    columns: Mapping[str, Profile],
    rows: Sequence[_Row],
    invalid: frozenset[str],
    note: str = "",
    change: bool = False,
) -> Table:
    """A row per benchmark, a column per stage; with `change` also the difference of the last two."""
    profiles = list(columns.values())
    before = [None, *profiles[:-1]]
    body = []
    for row in rows:
        cells = [_cell(one, old, row, invalid) for old, one in zip(before, profiles, strict=True)]
        if change:
            cells.append(_change(profiles[-2], profiles[-1], row))
        if any(cell.text != "-" for cell in cells):
            body.append([Cell(text=row.name), *cells])
    heads = ["", *(STAGE_NAMES[role] for role in columns), *(["difference"] if change else [])]
    return Table(caption=caption, columns=heads, rows=body, note=note)


def _with_wins(table: Table, roles: Sequence[str], wins: Sequence[Wins]) -> Table:
    """The table with a row of win rates for every benchmark whose answers were compared with a baseline's."""
    rows = []
    for benchmark in dict.fromkeys(one.rate.benchmark for one in wins):
        found = {one.role: one for one in wins if one.rate.benchmark == benchmark}
        baseline = next(iter(found.values())).rate.baseline
        for name, controlled in (("win rate against", False), ("the same at equal length, against", True)):
            cells = [_win(found[role], controlled) if role in found else Cell(text="-") for role in roles]
            rows.append([Cell(text=f"{benchmark}: {name} {baseline}"), *cells])
    return replace(table, rows=[*table.rows, *rows])


def _win(one: Wins, controlled: bool) -> Cell:
    if controlled:
        return Cell(text=share_text(one.rate.controlled), files=(one.file,))
    low, high = (100 * bound for bound in one.rate.interval)
    return Cell(text=share_text(one.rate.rate), note=f"{low:.1f} to {high:.1f}", files=(one.file,))


def _values(profile: Profile, row: _Row) -> dict[str, float]:
    found = {key: row.value(one) for key, one in profile.problems.items() if row.wanted(key, one)}
    return {key: value for key, value in found.items() if value is not None}


def _files(profile: Profile, values: Mapping[str, float]) -> tuple[str, ...]:
    """The files of the benchmarks whose problems were counted."""
    benchmarks = {_benchmark(key) for key in values}
    return tuple(file for benchmark, file in profile.files.items() if benchmark in benchmarks)


def _cell(profile: Profile, before: Profile | None, row: _Row, invalid: frozenset[str]) -> Cell:
    values = _values(profile, row)
    if not values:
        return Cell(text="-")
    mean, files = fmean(values.values()), _files(profile, values)
    text, note = plain_text(mean), ""
    if row.form == "share":
        found = list(values.values())
        low, high = mean_interval(found) if row.of_words else bootstrap_interval(found)
        text, note = share_text(mean), f"{100 * low:.1f} to {100 * high:.1f}"
    mark: Mark = ""
    if invalid & set(files):
        mark = "invalid"
    elif before is not None and row.more_is_better is not None:
        mark = _mark(_values(before, row), values, row)
    return Cell(text=text, note=note, mark=mark, files=files)


def _mark(old: Mapping[str, float], new: Mapping[str, float], row: _Row) -> Mark:
    shared = sorted(old.keys() & new.keys())
    if len(shared) < LEAST_PROBLEMS:
        return ""
    low, high = row.difference([old[key] for key in shared], [new[key] for key in shared]).interval
    if low <= 0 <= high:
        return ""
    return "better" if (low > 0) == row.more_is_better else "worse"


def _change(old: Profile, new: Profile, row: _Row) -> Cell:
    before, after = _values(old, row), _values(new, row)
    shared = sorted(before.keys() & after.keys())
    if not shared:
        return Cell(text="-")
    found = row.difference([before[key] for key in shared], [after[key] for key in shared])
    low, high = found.interval
    text = points_text(found.mean, found.interval)
    if row.form != "share":
        text = f"{found.mean:+.3g} ({low:+.3g} to {high:+.3g})"
    files = (*_files(old, before), *_files(new, after))
    return Cell(text=text, files=files)


def _invalid(run: Run) -> frozenset[str]:
    """The files of completions whose scores should not be believed, as they themselves say."""
    found = []
    for stage in run.stages:
        named: list[tuple[str, Scores]] = [(f"step-{step:06d}", one) for step, one in stage.scores.items()]
        named += stage.benchmarks.items()
        found += [stage.folder / "evaluation" / f"{name}.jsonl" for name, one in named if one.invalid is not None]
    return frozenset(run.relative(path) for path in found)
