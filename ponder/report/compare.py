"""Start against end on the same held-out problems, and the same problem's completion as training went on."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ponder.evaluation.estimate import Difference, paired_difference
from ponder.evaluation.results import JudgedCompletion, ProblemResult, completions_path, read_results
from ponder.evaluation.scores import Score, Scores
from ponder.report.run import StageRecord

__all__ = ["NAMES", "Moment", "Story", "TaskRow", "difference", "stories", "task_rows"]

NAMES = (
    ("pass@1", "share"),
    ("cons@16", "share"),
    ("pass@16", "share"),
    ("pass@64", "share"),
    ("mean_tokens", "number"),
    ("reflection_per_1k_tokens", "number"),
    ("language_consistency", "share"),
    ("format_ok", "share"),
    ("truncated", "share"),
    ("empty_answer", "share"),
)
"""The rows of the table of start and end, by public name."""

_STORIES = 3


def difference(start: Scores, end: Scores) -> Difference | None:
    """End minus start in pass@1, paired over the problems that both measured; None where they share none."""
    shared = sorted(start.accuracy.keys() & end.accuracy.keys())
    if not shared:
        return None
    return paired_difference([start.accuracy[one] for one in shared], [end.accuracy[one] for one in shared])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One domain, language or difficulty: its scores at start and end where they were measured."""

    kind: str
    name: str
    start: Score | None
    end: Score | None

    @property
    def problems(self) -> int:
        """How many problems it has."""
        score = self.end or self.start
        return score.problems if score is not None else 0


def task_rows(start: Scores | None, end: Scores | None) -> list[TaskRow]:
    """Rows for every kind of which there is more than one, domains first."""
    rows = []
    for kind in ("domain", "language", "difficulty"):
        first, last = (one.by.get(kind, {}) if one is not None else {} for one in (start, end))
        names = sorted(
            first.keys() | last.keys(), key=lambda name: (len(name), name) if kind == "difficulty" else (0, name)
        )
        if len(names) > 1:
            rows += [TaskRow(kind=kind, name=name, start=first.get(name), end=last.get(name)) for name in names]
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One completion at one step, with the problem's accuracy there, None where it has no gold."""

    when: str
    step: int
    sample: JudgedCompletion
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One held-out problem, early, in the middle and at the end."""

    problem: str
    domain: str
    language: str
    moments: Sequence[Moment]


def stories(stage: StageRecord) -> list[Story]:
    """Up to three problems whose first samples tell most: those whose accuracy rose most from wrong to right, of
    different domains where possible. Each shows the first sample (the same seed at every step), not a picked one."""
    steps = [step for step in stage.scores if completions_path(stage.folder, step).exists()]
    if not steps:
        return []
    chosen = sorted({steps[0], steps[len(steps) // 2], steps[-1]})
    found = [{r.problem.id: r for r in read_results(completions_path(stage.folder, step))[1]} for step in chosen]
    shared = [one for one in found[-1] if all(one in results for results in found)]
    names = {1: ("End",), 2: ("Early", "End"), 3: ("Early", "Middle", "End")}[len(chosen)]
    told = []
    for problem_id in _most_telling(shared, found):
        last = found[-1][problem_id].problem
        moments = [
            Moment(when=when, step=step, sample=one.samples[0], accuracy=one.accuracy if one.problem.gold else None)
            for when, step, one in zip(names, chosen, (results[problem_id] for results in found), strict=True)
        ]
        told.append(Story(problem=last.prompt, domain=last.domain, language=last.language, moments=moments))
    return told


def _most_telling(shared: Sequence[str], found: Sequence[dict[str, ProblemResult]]) -> list[str]:
    def telling(problem_id: str) -> tuple[int, float, float]:
        first, last = found[0][problem_id], found[-1][problem_id]
        right = [one.samples[0].verdict.outcome == "right" for one in (first, last)]
        # Among equals the one of middling length: neither a bare answer nor pages.
        length = -abs(last.samples[0].tokens - fmean(r.samples[0].tokens for r in found[-1].values()))
        return (right[1] - right[0], last.accuracy - first.accuracy, length)

    ranked = sorted(shared, key=telling, reverse=True)
    chosen: list[str] = []
    domains: set[tuple[str, str]] = set()
    for problem_id in ranked:
        problem = found[-1][problem_id].problem
        if len(chosen) < _STORIES and problem.domain not in {d for d, _ in domains}:
            chosen.append(problem_id)
            domains.add((problem.domain, problem.language))
    return chosen + [one for one in ranked if one not in chosen][: max(0, min(_STORIES, len(ranked)) - len(chosen))]
