"""What a run measured, by the part each stage plays: the only thing that phenomena and the paper's tables are made of.

In: a run folder as `read_run` read it. Out: `Evidence`, whose every number carries the files it came from, relative to
the run folder. Parts that no stage plays, and stages that have not ended, are simply absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ponder.evaluation.results import completions_path
from ponder.recipe.roles import Roles, cast
from ponder.report.cost import Cost, stage_cost
from ponder.report.measures import Evaluation, Measure, read_measures
from ponder.report.readers import WIN_RATES, WinRate, alarms_file, read_win_rates
from ponder.report.run import Run, StageRecord
from ponder.watch.alarms import Alarm, could_show_hacking, read_alarms

__all__ = ["Course", "Evidence", "Profile", "Wins", "find_roles", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One model's problems, each under `benchmark/` and what tells it from all others, and the file that each
    benchmark's came from."""

    model: str
    problems: Mapping[str, Measure]
    files: Mapping[str, str]

    def of(self, route: str, *, unsafe: bool | None = None) -> dict[str, Measure]:
        """The problems of a route; of the route `safety` only the unsafe requests or only the harmless ones."""
        return {key: one for key, one in self.problems.items() if one.route == route and one.unsafe == unsafe}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A stage's held-out problems before any update, None where that was not measured, and after the last evaluated
    one."""

    start: Profile | None
    end: Profile
    last_step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wins:
    """A win rate of the model that plays `role` against that of `baseline_role`, None where the baseline plays none."""

    role: str
    baseline_role: str | None
    rate: WinRate
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All by role, of stages that have ended. `evaluated` comes from the evaluate stages, one mapping for all that
    measure in the same way; `held_out` from a stage's own latest evaluation. These places are never mixed, since their
    sampling differs. `watched` are the roles whose stage could have raised the alarm about reward hacking."""

    evaluated: Sequence[Mapping[str, Profile]]
    held_out: Mapping[str, Profile]
    courses: Mapping[str, Course]
    costs: Mapping[str, Cost]
    alarms: Mapping[str, Sequence[Alarm]]
    alarm_files: Mapping[str, str]
    wins: Sequence[Wins] = ()
    watched: frozenset[str] = frozenset()

    @property
    def places(self) -> tuple[Mapping[str, Profile], ...]:
        """Where profiles may be compared, the evaluate stages first."""
        return (*self.evaluated, self.held_out)

    def together(self, *roles: str) -> tuple[Profile, ...] | None:
        """The profiles of these roles from one place, so that they may be compared; None where there is no such."""
        for place in self.places:
            if all(role in place for role in roles):
                return tuple(place[role] for role in roles)
        return None


def find_roles(run: Run) -> dict[str, tuple[str, ...]]:
    """Who plays what: as the recipe's report stage says, or by equal names."""
    stages = run.recipe["stages"]
    reports = [one for one in stages.values() if one["kind"] == "report" and "roles" in one]  # older recipes have none
    return cast(Roles.model_validate(reports[0]["roles"] if reports else {}), stages)


def gather(run: Run) -> Evidence:
    """Read everything that phenomena need; DataError for a damaged file."""
    roles, stages = find_roles(run), {stage.name: stage for stage in run.stages if stage.status == "done"}
    players = {role: stages[names[0]] for role, names in roles.items() if role != "evaluate" and names[0] in stages}
    evaluate = [stages[name] for name in roles.get("evaluate", ()) if name in stages]
    courses = {role: course for role, stage in players.items() if (course := _course(run, stage)) is not None}
    held_out = {role: course.end for role, course in courses.items()}
    if "base" not in held_out and "zero" in courses and (start := courses["zero"].start) is not None:
        held_out["base"] = start
    trained = {role: stage for role, stage in players.items() if stage.kind == "rl"}
    return Evidence(
        evaluated=[
            {role: place[names[0]] for role, names in roles.items() if names[0] in place}
            for place in _evaluations(run, evaluate)
        ],
        held_out=held_out,
        courses=courses,
        costs={role: cost for role, stage in players.items() if (cost := stage_cost(run, stage)) is not None},
        alarms={role: read_alarms(stage.folder) for role, stage in trained.items()},
        wins=_wins(run, roles, evaluate),
        alarm_files={role: run.relative(alarms_file(stage.folder)) for role, stage in trained.items()},
        watched=frozenset(role for role, stage in trained.items() if could_show_hacking(stage.rows, _accuracy(stage))),
    )


def _accuracy(stage: StageRecord) -> dict[int, Mapping[str, float]]:
    return {step: scores.accuracy for step, scores in stage.scores.items()}


_Parts = dict[tuple[str, str], tuple[Path, Evaluation]]
"""Files of completions by model and benchmark."""


def _evaluations(run: Run, stages: Sequence[StageRecord]) -> list[dict[str, Profile]]:
    """The profile of every evaluated model over all its benchmarks, by the model's reference. Stages that measure a
    benchmark in different ways stay apart; of what two measured in the same way the first counts."""
    places: list[_Parts] = []
    for stage in stages:
        parts = _parts(stage)
        for place in places:
            known, new = _protocols(place), _protocols(parts)
            if all(known[name] == new[name] for name in known.keys() & new.keys()):
                place.update({key: part for key, part in parts.items() if key not in place})
                break
        else:
            places.append(parts)
    return [_profiles(run, place) for place in places]


def _parts(stage: StageRecord) -> _Parts:
    found: _Parts = {}
    for path in sorted((stage.folder / "evaluation").glob("*--*.jsonl")):
        scores = path.with_suffix(".json")
        if scores.exists() and (evaluation := read_measures(path)) is not None:  # without scores it is unfinished
            found[evaluation.model, evaluation.benchmark] = path, evaluation
    return found


def _protocols(parts: _Parts) -> dict[str, set[str]]:
    """How each benchmark was measured."""
    found: dict[str, set[str]] = {}
    for (_, benchmark), (_, evaluation) in parts.items():
        found.setdefault(benchmark, set()).add(evaluation.protocol)
    return found


def _profiles(run: Run, parts: _Parts) -> dict[str, Profile]:
    by_model: dict[str, list[tuple[Path, Evaluation]]] = {}
    for (model, _), part in parts.items():
        by_model.setdefault(model, []).append(part)
    return {
        model: Profile(
            model=model,
            problems={f"{one.benchmark}/{key}": m for _, one in found for key, m in one.problems.items()},
            files={one.benchmark: run.relative(path) for path, one in found},
        )
        for model, found in by_model.items()
    }


def _wins(run: Run, roles: Mapping[str, tuple[str, ...]], stages: Sequence[StageRecord]) -> tuple[Wins, ...]:
    by_model = {names[0]: role for role, names in roles.items() if role != "evaluate"}
    return tuple(
        Wins(
            role=by_model[rate.model],
            baseline_role=by_model.get(rate.baseline),
            rate=rate,
            file=run.relative(stage.folder / WIN_RATES),
        )
        for stage in stages
        for rate in read_win_rates(stage.folder)
        if rate.model in by_model
    )


def _course(run: Run, stage: StageRecord) -> Course | None:
    if stage.end is None:
        return None
    last = stage.end[0]
    start = _held_out(run, stage, 0) if stage.start is not None else None
    end = _held_out(run, stage, last)
    return None if end is None else Course(start=start, end=end, last_step=last)


def _held_out(run: Run, stage: StageRecord, step: int) -> Profile | None:
    path = completions_path(stage.folder, step)
    evaluation = read_measures(path)
    if evaluation is None:
        return None
    problems = {f"held-out/{key}": one for key, one in evaluation.problems.items()}
    return Profile(model=stage.name, problems=problems, files={"held-out": run.relative(path)})
