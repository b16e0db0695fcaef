"""Scores: what the samples of a set of problems say about a model, and the JSON files that hold them.

The names in the files are those of `ponder show --json` and `ponder eval --json`; docs/metrics.md lists them. Accuracy
is over the problems that have a gold; where none has, it is not a number here and null in the files.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

from ponder.compute.vote import cluster_answers
from ponder.errors import DataError, RunFolderError
from ponder.evaluation.estimate import bootstrap_interval, consensus, pass_at_k
from ponder.evaluation.results import ProblemResult
from ponder.files import read_json, write_json
from ponder.records import SafetyGold
from ponder.reward.judged import Judged
from ponder.reward.rules import repetition
from ponder.seeds import derive_seed
from ponder.text.language import language_share
from ponder.text.paragraphs import paragraph_words
from ponder.text.reflection import count_reflection
from ponder.text.template import Template
from ponder.text.think import Response
from ponder.verify import same_answer
from ponder.verify.safety import refuses

__all__ = [
    "INVALID_ABOVE",
    "Score",
    "Scores",
    "load_scores",
    "read_scores",
    "save_scores",
    "score",
    "scores_path",
    "write_scores",
]

INVALID_ABOVE = 0.10
"""A score is called invalid when more than this share of completions was truncated or gave no answer."""

_MOST = 0.5
"""Share of completions without tags above which the template is not the one that the model writes in."""
_FORMAT = 2
_CONSENSUS_SIZES = (16, 64)
_BREAKDOWNS: Mapping[str, Callable[[ProblemResult], str | None]] = {
    "domain": lambda result: result.problem.domain,
    "language": lambda result: result.problem.language,
    "difficulty": lambda result: None if result.problem.difficulty is None else str(result.problem.difficulty),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The numbers of one set of problems. `pass_at` and `cons_at` are by k; `pass_at[1]` is R1's pass@1. Example:
    Score(pass_at={1: 0.25}, interval=(0.2, 0.3), ..., problems=200, samples=16).

    `safe` is the share of right responses (refusals that are none in disguise do not count) to requests that are to be
    refused, `over_refusal` the share of refusals among responses to safe ones that only sound alike; both None where
    there are no such problems. `measures` are the means of what functions of the user's own say, by name, None where
    one says nothing of any completion. What an evaluation of an older ponder did not measure is None, too.
    """

    pass_at: Mapping[int, float]
    interval: tuple[float, float]
    cons_at: Mapping[int, float]
    mean_tokens: float
    reflection_per_1k_tokens: float
    language_consistency: float | None
    format_ok: float
    truncated: float
    empty_answer: float
    cannot_tell: float
    problems: int
    samples: int
    repetition: float | None = None
    paragraph_words: float | None = None
    refused: float | None = None
    safe: float | None = None
    over_refusal: float | None = None
    measures: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def pass_at_1(self) -> float:
        """Mean over problems of the share of right samples; not a number where no problem has a gold."""
        return self.pass_at.get(1, nan)

    @property
    def accuracy_text(self) -> str:
        """Example: "pass@1 0.713 (0.652 to 0.771)"."""
        if 1 not in self.pass_at:
            return "no accuracy, for no problem has a gold"
        return f"pass@1 {self.pass_at_1:.3f} ({self.interval[0]:.3f} to {self.interval[1]:.3f})"

    def to_json(self) -> dict[str, Any]:
        """The numbers under their public names."""
        return {
            "pass@1": self.pass_at.get(1),
            "pass@1_interval": list(self.interval) if self.pass_at else None,
            "cons@16": self.cons_at.get(16),
            **{f"cons@{k}": value for k, value in self.cons_at.items() if k != 16},
            **{f"pass@{k}": value for k, value in self.pass_at.items() if k != 1},
            "mean_tokens": self.mean_tokens,
            "reflection_per_1k_tokens": self.reflection_per_1k_tokens,
            "language_consistency": self.language_consistency,
            "format_ok": self.format_ok,
            "truncated": self.truncated,
            "empty_answer": self.empty_answer,
            "cannot_tell": self.cannot_tell,
            **dict(zip(_ADDED, self._added(), strict=True)),
            **{f"{_MEASURE}{name}": value for name, value in self.measures.items()},
            "problems": self.problems,
            "samples": self.samples,
        }

    def _added(self) -> tuple[float | None, ...]:
        return self.repetition, self.paragraph_words, self.refused, self.safe, self.over_refusal

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Score":
        """The score that `to_json` wrote."""
        low, high = value["pass@1_interval"] or (nan, nan)
        added: dict[str, Any] = {name: value.get(name) for name in _ADDED}  # absent in files of the first format
        return cls(
            pass_at=_by_k(value, "pass@"),
            interval=(low, high),
            cons_at=_by_k(value, "cons@"),
            **{name: value[name] for name in _PLAIN},
            **added,
            measures={name.removeprefix(_MEASURE): one for name, one in value.items() if name.startswith(_MEASURE)},
        )


_PLAIN = (
    "mean_tokens",
    "reflection_per_1k_tokens",
    "language_consistency",
    "format_ok",
    "truncated",
    "empty_answer",
    "cannot_tell",
    "problems",
    "samples",
)


_MEASURE = "measure/"
"""Before the name of a function of the user's own."""
_ADDED = ("repetition", "paragraph_words", "refused", "safe", "over_refusal")


def _by_k(value: Mapping[str, Any], prefix: str) -> dict[int, float]:
    found = ((name.removeprefix(prefix), one) for name, one in value.items() if name.startswith(prefix))
    return {int(k): one for k, one in sorted(found) if k.isdecimal() and one is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """An evaluation. `by` holds the same numbers per domain, language and difficulty; `accuracy` the share of right
    samples of each problem by its id; `invalid` why the score should not be believed, or None."""

    overall: Score
    by: Mapping[str, Mapping[str, Score]]
    accuracy: Mapping[str, float]
    invalid: str | None
    provenance: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "format": _FORMAT,
            "scores": self.overall.to_json(),
            "invalid": self.invalid,
            "by": {kind: {name: one.to_json() for name, one in parts.items()} for kind, parts in self.by.items()},
            "accuracy": dict(self.accuracy),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Scores":
        """The scores that `to_json` wrote."""
        return cls(
            overall=Score.from_json(value["scores"]),
            by={k: {name: Score.from_json(one) for name, one in parts.items()} for k, parts in value["by"].items()},
            accuracy=value["accuracy"],
            invalid=value["invalid"],
            provenance=value["provenance"],
        )


def score(results: Sequence[ProblemResult], template: Template, provenance: Mapping[str, Any], seed: int) -> Scores:
    """The scores of an evaluation; `seed` draws the bootstrap and the subsets of cons@k.

    Every problem must have an id of its own and the same number of samples; DataError otherwise.
    """
    if not results:
        raise DataError("An evaluation needs at least one problem, got none. Check the source of the problems.")
    counts = {len(result.samples) for result in results}
    if len(counts) != 1 or 0 in counts:
        raise DataError(
            f"An evaluation needs equally many samples of every problem, got {sorted(counts)}. A replayed file may be "
            "the rest of an interrupted evaluation: evaluate again."
        )
    facts = [_facts(result, template, seed) for result in results]
    overall = _score(facts, seed)
    return Scores(
        overall=overall,
        by={kind: parts for kind, of in _BREAKDOWNS.items() if (parts := _parts(facts, results, of, seed))},
        accuracy={result.problem.id: result.accuracy for result in results if result.problem.gold is not None},
        invalid=_invalid(overall, sum(f.untagged for f in facts), template),
        provenance=provenance,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What one problem's samples add to any set it belongs to. `right` is None where there is no gold, `unsafe` where
    refusing is not the question."""

    samples: int
    right: int | None
    cons_at: Mapping[int, float]
    tokens: int
    reflection: int
    language_shares: Sequence[float]
    format_ok: int
    truncated: int
    empty: int
    untagged: int
    cannot_tell: int
    repetition: float
    paragraphs: Sequence[int]
    refused: int
    unsafe: bool | None
    measures: Mapping[str, Sequence[float]]


def _facts(result: ProblemResult, template: Template, seed: int) -> _Facts:
    samples, problem = result.samples, result.problem
    responses = [template.split(s.text, finished=s.finish_reason == "stop") for s in samples]
    thoughts = [s.text if r.thinking is None else r.thinking for r, s in zip(responses, samples, strict=True)]
    shares = [language_share(thought, problem.language) for thought in thoughts]
    right = [s.verdict.outcome == "right" for s in samples]
    sizes = [k for k in _CONSENSUS_SIZES if k <= len(samples)]
    cons_at: dict[int, float] = {}
    if sizes and problem.gold is not None:
        gold = problem.gold
        clusters = cluster_answers([s.verdict.answer for s in samples], right, lambda a, b: same_answer(a, b, gold))
        cons_at = {k: consensus(clusters, right, k, derive_seed(seed, problem.id, k)) for k in sizes}
    return _Facts(
        samples=len(samples),
        right=None if problem.gold is None else sum(right),
        cons_at=cons_at,
        tokens=sum(s.tokens for s in samples),
        reflection=sum(count_reflection(s.text) for s in samples),
        language_shares=[share for share in shares if share is not None],
        format_ok=sum(r.well_formed for r in responses),
        truncated=sum(s.finish_reason == "length" for s in samples),
        empty=sum(not (r.answer or "").strip() for r in responses),
        untagged=sum(
            template.thinking and r.answer is None and s.finish_reason == "stop" and _has_no_tags(s.text)
            for r, s in zip(responses, samples, strict=True)
        ),
        cannot_tell=sum(s.verdict.outcome == "cannot_tell" for s in samples),
        repetition=-sum(repetition(_judged(result, i, response)) for i, response in enumerate(responses)),
        paragraphs=[
            count for r in responses for text in (r.thinking, r.answer) for count in paragraph_words(text or "")
        ],
        refused=sum(refuses(r.answer or "") for r in responses),
        unsafe=problem.gold.unsafe if isinstance(problem.gold, SafetyGold) else None,
        measures={
            name: [value for s in samples if (value := s.measures[name]) is not None] for name in samples[0].measures
        },
    )


def _has_no_tags(text: str) -> bool:
    """A text that says something, but in none of the tags that templates ask for."""
    return bool(text.strip()) and "</think>" not in text and "<answer>" not in text


def _judged(result: ProblemResult, index: int, response: Response) -> Judged:
    sample = result.samples[index]
    return Judged(
        problem=result.problem,
        response=response,
        verdict=sample.verdict,
        completion_tokens=sample.tokens,
        finish_reason=sample.finish_reason,
        max_tokens=sample.tokens,
    )


def _score(facts: Sequence[_Facts], seed: int) -> Score:
    n = facts[0].samples
    total = n * len(facts)
    tokens = sum(f.tokens for f in facts)
    shares = [share for f in facts for share in f.language_shares]
    paragraphs = [count for f in facts for count in f.paragraphs]
    right = [f.right for f in facts if f.right is not None]
    known = [f for f in facts if f.right is not None]
    return Score(
        pass_at={k: fmean(pass_at_k(n, c, k) for c in right) for k in _powers_of_two(n)} if right else {},
        interval=bootstrap_interval([c / n for c in right], seed=seed) if right else (nan, nan),
        cons_at={k: fmean(f.cons_at[k] for f in known) for k in known[0].cons_at} if known else {},
        mean_tokens=tokens / total,
        reflection_per_1k_tokens=1000 * sum(f.reflection for f in facts) / tokens if tokens else 0.0,
        language_consistency=fmean(shares) if shares else None,
        format_ok=sum(f.format_ok for f in facts) / total,
        truncated=sum(f.truncated for f in facts) / total,
        empty_answer=sum(f.empty for f in facts) / total,
        cannot_tell=sum(f.cannot_tell for f in facts) / total,
        problems=len(facts),
        samples=n,
        repetition=sum(f.repetition for f in facts) / total,
        paragraph_words=fmean(paragraphs) if paragraphs else None,
        refused=sum(f.refused for f in facts) / total,
        safe=_mean([f.right / n for f in facts if f.unsafe and f.right is not None]),
        over_refusal=_mean([f.refused / n for f in facts if f.unsafe is False]),
        measures={name: _mean([one for f in facts for one in f.measures[name]]) for name in facts[0].measures},
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _powers_of_two(limit: int) -> list[int]:
    return [1 << i for i in range(limit.bit_length())]


def _parts(
    facts: Sequence[_Facts], results: Sequence[ProblemResult], of: Callable[[ProblemResult], str | None], seed: int
) -> dict[str, Score]:
    groups: dict[str, list[_Facts]] = {}
    for one, result in zip(facts, results, strict=True):
        if (name := of(result)) is not None:
            groups.setdefault(name, []).append(one)
    return {name: _score(groups[name], seed) for name in sorted(groups)}


def _invalid(overall: Score, untagged: int, template: Template) -> str | None:
    shares = {"were cut off at the length limit": overall.truncated, "gave no answer": overall.empty_answer}
    wrong = [
        f"{100 * share:.0f} % of the completions {what}" for what, share in shares.items() if share > INVALID_ABOVE
    ]
    if not wrong:
        return None
    share = untagged / (overall.problems * overall.samples)
    hint = (
        f"; {100 * share:.0f} % answer without the tags of template {template.name!r}, which counts as no answer: "
        f"measure a model that does not think with `plain` (`template: plain`, or --template plain)"
    )
    return (
        f"invalid as a measure of the model: {' and '.join(wrong)} (limit {100 * INVALID_ABOVE:.0f} %)"
        f"{hint if share > _MOST else ''}"
    )


def write_scores(path: Path, scores: Scores) -> None:
    """Replace or create the file, whole or not at all."""
    write_json(path, scores.to_json())


def read_scores(path: Path) -> Scores:
    """The scores of a file; RunFolderError if it is damaged or newer than this ponder."""
    value = read_json(path)
    try:
        if value["format"] > _FORMAT:
            raise RunFolderError(f"{str(path)!r} was written by a newer ponder (scores {value['format']}): upgrade.")
        return Scores.from_json(value)
    except (KeyError, TypeError, ValueError) as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged: expected the scores of an evaluation, got trouble with {error!s}. Remove it "
            "and evaluate again."
        ) from None


def scores_path(folder: Path, step: int) -> Path:
    """`evaluation/step-<step>.json` in a stage's folder."""
    return folder / "evaluation" / f"step-{step:06d}.json"


def save_scores(folder: Path, step: int, scores: Scores) -> Path:
    """Write the scores of a step where `load_scores` finds them."""
    path = scores_path(folder, step)
    write_scores(path, scores)
    return path


def load_scores(folder: Path) -> dict[int, Scores]:
    """The evaluations of a stage folder by step, in order; empty where there are none."""
    paths = sorted((folder / "evaluation").glob("step-*.json"))
    steps = [path for path in paths if re.fullmatch(r"step-\d{6,}", path.stem)]  # and nobody's copy of one
    return {int(path.stem.removeprefix("step-")): read_scores(path) for path in steps}
