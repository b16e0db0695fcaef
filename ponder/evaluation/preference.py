"""Each answer of a model against the baseline's answer to the same problem with the same number: who is better?

    two files of completions + judge -> Comparison of every two answers, listed in a file

Only answers are seen, thinking is not (R1 v1, 3.1). An answer that is missing loses to one that is there without asking
anybody; where both are missing it is a tie. Without a judge that reads, the verifiers' scores decide.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.evaluation.win_rate import Comparison
from ponder.files import write_text
from ponder.judge import Judge, Pair, Preference
from ponder.text.template import Template

__all__ = ["compare_answers", "write_comparisons"]

Answers = tuple[Template, Sequence[ProblemResult]]
"""A model's results with the template that takes its completions apart."""


def compare_answers(model: Answers, baseline: Answers, judge: Judge | None) -> list[Comparison]:
    """All comparisons, in the order of the model's problems; `judge` None asks the verifiers' scores."""
    by_id = {result.problem.id: result for result in baseline[1]}
    rows = [
        (result, index, sample, by_id[result.problem.id].samples[index])
        for result in model[1]
        for index, sample in enumerate(result.samples)
    ]
    answers = [(_answer(model[0], sample), _answer(baseline[0], other)) for _, _, sample, other in rows]
    known = [
        _without_reading(*both) or (None if judge is not None else _by_score(sample, other))
        for both, (_, _, sample, other) in zip(answers, rows, strict=True)
    ]
    asked = [i for i, one in enumerate(known) if one is None]
    pairs = [Pair(problem=rows[i][0].problem, first=answers[i][0], second=answers[i][1]) for i in asked]
    told = dict(zip(asked, judge.compare(pairs) if judge is not None and pairs else [], strict=True))
    return [
        Comparison(
            problem=result.problem.id,
            index=index,
            preference=_share(preference.difference),
            characters=len(answer),
            baseline_characters=len(other),
            reason=preference.reason,
        )
        for (result, index, _, _), (answer, other), preference in zip(
            rows, answers, (one or told[i] for i, one in enumerate(known)), strict=True
        )
    ]


def write_comparisons(path: Path, comparisons: Sequence[Comparison]) -> None:
    """One JSON line for each, those that could not be judged with their reason."""
    write_text(path, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in comparisons))


def _answer(template: Template, sample: JudgedCompletion) -> str:
    return template.split(sample.text, finished=sample.finish_reason == "stop").answer or ""


def _without_reading(answer: str, other: str) -> Preference | None:
    if answer.strip() and other.strip():
        return None
    difference = float(bool(answer.strip())) - float(bool(other.strip()))
    return Preference(difference=difference, votes=0, reason="an answer is missing")


def _by_score(sample: JudgedCompletion, other: JudgedCompletion) -> Preference:
    unknown = next((s.verdict.reason for s in (sample, other) if s.verdict.outcome == "cannot_tell"), None)
    difference = None if unknown is not None else sample.verdict.score - other.verdict.score
    reason = unknown or f"scores {sample.verdict.score:g} and {other.verdict.score:g}"
    return Preference(difference=difference, votes=1, reason=reason)


def _share(difference: float | None) -> float | None:
    """A win counts 1, a tie 1/2, a loss 0, however clear it is."""
    if difference is None:
        return None
    return 0.5 if difference == 0 else float(difference > 0)
