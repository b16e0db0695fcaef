"""Sources of a recipe in, checked problems out, with a list of every row that is not used and why."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from random import Random
from types import MappingProxyType

from pydantic import ValidationError

from ponder.errors import DataError
from ponder.files import expand_path
from ponder.own import OwnCode
from ponder.own.apart import made_problems
from ponder.recipe.own import OwnName
from ponder.recipe.problems import (
    FileProblems,
    GymProblems,
    HubProblems,
    MicroProblems,
    ProblemSource,
    PythonProblems,
    StageProblems,
)
from ponder.records import MeasuredProblem, Message, OwnGold, Problem, from_json
from ponder.task.fault import Candidate, LeftOut
from ponder.task.gym import gym_problems
from ponder.task.hub import read_hub
from ponder.task.names import distinct_name
from ponder.task.row import check_columns, problems_of
from ponder.task.table import read_rows
from ponder.verify import check_gold

__all__ = ["LeftOut", "Loaded", "load_problems", "problems_name"]

_SHOWN = 5
PROBLEMS_FILE = "problems.jsonl"
"""What a `sample` stage leaves of the problems that it measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Problems, source after source. `weights` and `sizes` are by the source's name, in the same order;
    `from_steps` those of sources that enter later, `until_steps` those of sources that leave. `measured` are the
    completions that were judged before, and those of them that were right, by the ids of problems."""

    problems: tuple[Problem, ...]
    left_out: tuple[LeftOut, ...]
    weights: Mapping[str, float]
    sizes: Mapping[str, int]
    from_steps: Mapping[str, int] = field(default_factory=dict)
    until_steps: Mapping[str, int] = field(default_factory=dict)
    measured: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def members(self, source: str) -> range:
        """The places of a source's problems in `problems`."""
        ends = dict(zip(self.sizes, accumulate(self.sizes.values()), strict=True))
        return range(ends[source] - self.sizes[source], ends[source])

    def only(self, sources: Collection[str]) -> "Loaded":
        """These sources alone."""
        return replace(
            self,
            problems=tuple(self.problems[i] for name in self.sizes if name in sources for i in self.members(name)),
            weights={name: weight for name, weight in self.weights.items() if name in sources},
            sizes={name: size for name, size in self.sizes.items() if name in sources},
        )

    def summary(self) -> str:
        """What was loaded and what was left out, for people."""
        lines = [f"{len(self.problems)} problems: " + ", ".join(f"{n} {name}" for name, n in self.sizes.items())]
        if self.left_out:
            lines.append(f"{len(self.left_out)} rows left out: " + _listed(self.left_out))
        return "\n".join(lines)


_NO_CODE = OwnCode()
_NO_STAGES: Mapping[str, Path] = MappingProxyType({})


def load_problems(
    sources: Sequence[ProblemSource],
    own: OwnCode = _NO_CODE,
    *,
    keep_repeated: bool = False,
    stages: Mapping[str, Path] = _NO_STAGES,
) -> Loaded:
    """Load every source: read, check each gold, leave out what cannot be used, shuffle and limit.

    `own` is the user's own code, for sources that a function of it makes; `stages` are the folders of those whose
    output is read.

    A prompt that has occurred before, in whichever source, is left out unless `keep_repeated` is set, as benchmarks
    do, which count every row. DataError for a source that cannot be read,
    lacks a column, or has no usable problem.
    """
    if not sources:
        raise DataError("There are no problem sources. Name at least one.")
    problems: list[Problem] = []
    left_out: list[LeftOut] = []
    weights: dict[str, float] = {}
    sizes: dict[str, int] = {}
    from_steps: dict[str, int] = {}
    until_steps: dict[str, int] = {}
    measured: dict[str, tuple[int, int]] = {}
    ids: dict[str, str] = {}  # where each id and each prompt was first seen
    prompts: dict[tuple[Message, ...], str] = {}
    for source in sources:
        name = distinct_name(problems_name(source), weights)
        if isinstance(source, StageProblems):
            measured |= _rates(source, stages)
        kept, dropped = _load(source, name, own, stages, ids, None if keep_repeated else prompts)
        if not kept:
            found = _listed(dropped) if dropped else "it is empty"
            where = f" ({source.path})" if isinstance(source, FileProblems) else ""
            raise DataError(f"Source {name!r}{where} has no usable problem: {found}. {_advice(source)}")
        problems += kept
        left_out += dropped
        weights[name], sizes[name] = source.weight, len(kept)
        if source.from_step:
            from_steps[name] = source.from_step
        if source.until_step is not None:
            until_steps[name] = source.until_step
    return Loaded(
        problems=tuple(problems),
        left_out=tuple(left_out),
        weights=weights,
        sizes=sizes,
        from_steps=from_steps,
        until_steps=until_steps,
        measured=measured,
    )


def _load(
    source: ProblemSource,
    name: str,
    own: OwnCode,
    stages: Mapping[str, Path],
    ids: dict[str, str],
    prompts: dict[tuple[Message, ...], str] | None,
) -> tuple[list[Problem], list[LeftOut]]:
    """The problems kept and the rows left out. With a limit, rows after the last one needed are not looked at."""
    kept: list[Problem] = []
    dropped: list[LeftOut] = []
    for row, found in _candidates(source, name, own, stages):
        if len(kept) == source.limit:
            break
        reason = _repeated(found, ids, prompts or {}) if isinstance(found, Problem) else found
        if reason or not isinstance(found, Problem):
            dropped.append(LeftOut(source=name, row=row, reason=reason))
            continue
        ids[found.id] = place = f"row {row} of {name!r}"
        if prompts is not None:
            prompts[found.messages] = place
        kept.append(found)
    return kept, sorted(dropped, key=lambda entry: entry.row)


def _repeated(problem: Problem, ids: Mapping[str, str], prompts: Mapping[tuple[Message, ...], str]) -> str:
    if problem.id in ids:
        return f"the id {problem.id!r} is that of {ids[problem.id]}"
    if problem.messages in prompts:
        return f"the same prompt as {prompts[problem.messages]}"
    return ""


def _candidates(source: ProblemSource, name: str, own: OwnCode, stages: Mapping[str, Path]) -> Iterator[Candidate]:
    """The rows of a source in the order in which they are taken."""
    match source:
        case FileProblems() | HubProblems():
            rows = read_rows(expand_path(source.path)) if isinstance(source, FileProblems) else read_hub(source)
            check_columns(rows, source, name)
            if source.shuffle_seed is not None:
                Random(source.shuffle_seed).shuffle(rows)
            return problems_of(rows, source, name)
        case GymProblems():
            found = gym_problems(source, name)
        case MicroProblems():
            found = _micro(source)
        case PythonProblems():
            made = _python(source, own)
            if source.shuffle_seed is None:
                return made  # no more of them than are taken
            found = list(made)
        case StageProblems():
            found = list(_measured(source, own, stages))
    if source.shuffle_seed is not None:
        Random(source.shuffle_seed).shuffle(found)
    return iter(found)


def _micro(source: MicroProblems) -> list[Candidate]:
    from ponder.micro.problems import generate

    problems = generate(source.tasks, source.languages, source.count, source.split, source.seed)
    if source.route is not None:
        problems = tuple(replace(problem, route=source.route) for problem in problems)
    return list(enumerate(problems, start=1))


def _python(source: PythonProblems, own: OwnCode) -> Iterator[Candidate]:
    for number, problem in enumerate(made_problems(own, source.own, source.arguments), start=1):
        mine = problem if source.domain is None else replace(problem, domain=source.domain)
        yield number, _unusable(mine, own) or mine


def _measured(source: StageProblems, own: OwnCode, stages: Mapping[str, Path]) -> Iterator[Candidate]:
    least, most = source.pass_rate or (0.0, 1.0)
    for number, one in enumerate(_lines(source, stages), start=1):
        rate = one.right / one.judged
        mine = one.problem if source.domain is None else replace(one.problem, domain=source.domain)
        outside = "" if least <= rate <= most else f"its pass rate {rate:.3g} is not between {least:g} and {most:g}"
        yield number, outside or _unusable(mine, own) or mine


def _rates(source: StageProblems, stages: Mapping[str, Path]) -> dict[str, tuple[int, int]]:
    return {one.problem.id: (one.judged, one.right) for one in _lines(source, stages)}


def _lines(source: StageProblems, stages: Mapping[str, Path]) -> list[MeasuredProblem]:
    """What a `sample` stage measured. DataError where it left nothing of the kind."""
    path = stages[source.stage] / PROBLEMS_FILE if source.stage in stages else None
    if path is None or not path.is_file():
        raise DataError(
            f"There is no {PROBLEMS_FILE} of a stage {source.stage!r} here: name a stage of the kind `sample` with "
            "`output: problems` of the same recipe."
        )
    rows = read_rows(path)
    try:
        found = [from_json(MeasuredProblem, row.values or {}) for row in rows]
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        raise DataError(f"{path} does not hold problems as `sample` stages write them: {fault}.") from None
    return found


def _unusable(problem: Problem, own: OwnCode) -> str | None:
    """Why nothing could judge the problem."""
    gold = problem.gold
    if gold is None:
        if problem.route != "reasoning":
            return None
        return "a problem of the route 'reasoning' needs a gold"
    reason = check_gold(gold)
    if reason is None and isinstance(gold, OwnGold) and (file := OwnName.read(gold.function).file) not in own.files:
        return f"its verifier {gold.function!r} is in {file!r}, which the stage does not name: {', '.join(own.files)}"
    return reason


def problems_name(source: ProblemSource) -> str:
    """The name given to a source, or one made from what it reads."""
    if source.name is not None:
        return source.name
    match source:
        case FileProblems():
            path = Path(source.path)
            stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
            return f"{path.parent.name}/{stem}" if path.parent.name else stem
        case HubProblems():
            subset = f"/{source.subset}" if isinstance(source.subset, str) else ""
            return f"{source.id}{subset}/{source.split}"
        case GymProblems():
            return f"gym/{source.task}"
        case MicroProblems():
            return f"micro/{source.split}"
        case PythonProblems():
            return source.own
        case StageProblems():
            return source.stage


def _advice(source: ProblemSource) -> str:
    match source:
        case FileProblems() | HubProblems():
            return "Check `columns` and `gold` of the source, and that it does not repeat one before it."
        case GymProblems() | MicroProblems():
            return "Sources that are generated from one seed repeat each other: give this one another `seed`."
        case PythonProblems():
            return f"Look at what {source.own} makes: `ponder try {source.own}`."
        case StageProblems():
            return f"Widen `pass_rate`, or give stage {source.stage!r} more problems."


def _listed(left_out: Sequence[LeftOut]) -> str:
    shown = "; ".join(f"row {entry.row} of {entry.source!r}: {entry.reason}" for entry in left_out[:_SHOWN])
    more = len(left_out) - _SHOWN
    return shown + (f"; and {more} more" if more > 0 else "")
