"""What one evaluation says of each problem: the values that are paired between models and resampled for intervals.

In: a file of completions with verdicts (`evaluation/*.jsonl`). Out: one `Measure` per problem. The means over problems
are those of the scores beside the file (`evaluation/*.json`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

from ponder.compute.vote import cluster_answers
from ponder.evaluation.estimate import consensus
from ponder.evaluation.results import JudgedCompletion, ProblemResult, read_results
from ponder.records import Language, Problem, SafetyGold, to_json
from ponder.seeds import derive_seed
from ponder.text.language import language_share
from ponder.text.reflection import count_reflection
from ponder.text.template import Template
from ponder.text.think import Response
from ponder.verify import same_answer
from ponder.verify.safety import refuses

__all__ = ["READABLE_LANGUAGE", "Evaluation", "Measure", "read_measures"]

READABLE_LANGUAGE = 0.9
"""A completion counts as readable if it is in the template's form, not cut off, and at least this share of the words
of its thinking is in the language of the question. The papers filter for the same (R1 v2, B.3.2) without numbers."""

_CONSENSUS = 16
_KEPT = 256  # evaluations in memory: a page is written often while a run goes on, and files do not change


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Means over the samples of one problem. `accuracy` is None without a gold, `consensus` (cons@16) also with fewer
    than 16 samples, `language` where the thinking has no words. `unsafe` tells unsafe requests from harmless ones that
    look like them, and is None for all other problems; `refused` is the share of refusals."""

    route: str
    domain: str
    accuracy: float | None
    consensus: float | None
    tokens: float
    reflection: float
    language: float | None
    readable: float
    unsafe: bool | None = None
    refused: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One file of completions: what was evaluated on what (empty for held-out problems), how it was sampled and judged,
    and its problems. Different problems may have one id (of two files of one name, of two settings of one task), so
    the keys hold a digest of the problem as well."""

    model: str
    benchmark: str
    protocol: str
    problems: Mapping[str, Measure]


def read_measures(path: Path) -> Evaluation | None:
    """The measures of a file of completions, None where there is no such file; DataError if it is none."""
    if not path.is_file():
        return None
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(_KEPT)
def _read(path: Path, modified: int, size: int) -> Evaluation:
    provenance, results = read_results(path)
    template = Template.from_json(provenance.get("template"), where=f"the template in {path}")
    seed = derive_seed(int(provenance["seed"]), "score")
    return Evaluation(
        model=str(provenance.get("model", "")),
        benchmark=str(provenance.get("benchmark", {}).get("name", "")),
        protocol=_protocol(provenance),
        problems={_key(result.problem): _measure(result, template, seed) for result in results},
    )


def _key(problem: Problem) -> str:
    text = json.dumps(to_json(problem), sort_keys=True)
    return f"{problem.id} {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _protocol(provenance: Mapping[str, Any]) -> str:
    """Of what comparable evaluations have in common; the length limit as it was asked for, since a model's window may
    have cut it."""
    sampling = dict(provenance.get("sampling", {}))
    limit = sampling.pop("max_tokens", None)
    asked = provenance.get("max_tokens_asked", limit)
    others = [provenance.get(name) for name in ("samples", "judge", "environment", "thinking_tokens")]
    return json.dumps([sampling, asked, *others], sort_keys=True)


def _measure(result: ProblemResult, template: Template, seed: int) -> Measure:
    problem, samples = result.problem, result.samples
    responses = [template.split(one.text, finished=one.finish_reason == "stop") for one in samples]
    shares = [_share(sample, response, problem.language) for sample, response in zip(samples, responses, strict=True)]
    known = [share for share in shares if share is not None]
    readable = [
        response.well_formed and sample.finish_reason == "stop" and (share is None or share >= READABLE_LANGUAGE)
        for sample, response, share in zip(samples, responses, shares, strict=True)
    ]
    return Measure(
        route=problem.route,
        domain=problem.domain,
        accuracy=None if problem.gold is None else result.accuracy,
        consensus=_consensus(problem, samples, seed),
        tokens=fmean(one.tokens for one in samples),
        reflection=fmean(count_reflection(one.text) for one in samples),
        language=fmean(known) if known else None,
        readable=fmean(readable),
        unsafe=problem.gold.unsafe if isinstance(problem.gold, SafetyGold) else None,
        refused=fmean(refuses(one.answer or "") for one in responses),
    )


def _share(sample: JudgedCompletion, response: Response, language: Language) -> float | None:
    return language_share(sample.text if response.thinking is None else response.thinking, language)


def _consensus(problem: Problem, samples: Sequence[JudgedCompletion], seed: int) -> float | None:
    """As `evaluation.scores` computes it, with the same seed, so that the mean is the one in the file of scores."""
    gold = problem.gold
    if gold is None or len(samples) < _CONSENSUS:
        return None
    right = [one.verdict.outcome == "right" for one in samples]
    clusters = cluster_answers([one.verdict.answer for one in samples], right, lambda a, b: same_answer(a, b, gold))
    return consensus(clusters, right, _CONSENSUS, derive_seed(seed, problem.id, _CONSENSUS))
