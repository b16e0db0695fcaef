"""Sample every problem k times, judge while sampling goes on, keep every completion, score.

Protocol of R1 (v2, D.1): temperature 0.6, top-p 0.95, k samples per problem, pass@1 as their mean; greedy decoding is
not used, since it repeats itself and hides variance. The seed of a sample depends on the seed given, the problem's id
and the sample's number alone, so two evaluations of the same problems are paired sample by sample.
"""

import hashlib
import importlib.metadata
import json
import platform
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import ponder
from ponder.errors import DataError
from ponder.evaluation.results import ProblemResult, ResultsWriter, Sample, read_results
from ponder.evaluation.scores import Scores, score
from ponder.policy.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, Gold, Problem, Verdict, to_json
from ponder.rollout.engine import Engine, Request
from ponder.seeds import derive_seed
from ponder.text.template import Template
from ponder.verify.pool import VerifierPool

__all__ = ["evaluate", "replay"]

Progress = Callable[[int, int], None]
"""Told how many completions are finished, and of how many."""

_PACKAGES = ("torch", "transformers", "tokenizers", "mpmath")


def evaluate(
    policy: Policy,
    engine: Engine,
    problems: Sequence[Problem],
    *,
    samples: int,
    sampling: Sampling,
    pool: VerifierPool,
    seed: int,
    model: str,
    weight_version: int = 0,
    notes: Mapping[str, Any] | None = None,
    log: Path | None = None,
    progress: Progress | None = None,
) -> Scores:
    """The scores of `policy`, which `engine` samples from, with `samples` completions of each problem.

    `model` names what is evaluated, and `notes` say more of it, in the provenance; `log` is the file that gets every
    completion. The length limit is `sampling.max_tokens`, or less where the model's window ends before. Raises
    DataError for problems without gold and for a prompt that fills the window: no prompt is ever cut.
    """
    _check(problems)
    prompts = [policy.template.encode(policy.tokenizer, problem.messages) for problem in problems]
    max_tokens = min(sampling.max_tokens, policy.window - _longest(prompts, problems, policy.window))
    requests = [
        Request(
            prompt_ids=prompt,
            seeds=tuple(derive_seed(seed, "evaluate", problem.id, i) for i in range(samples)),
            key=problem.id,
        )
        for prompt, problem in zip(prompts, problems, strict=True)
    ]
    provenance = {
        "model": model,
        "weight_version": weight_version,
        "parameters": sum(p.numel() for p in policy.model.parameters()),
        "template": policy.template.to_json(),
        "first_prompt": policy.tokenizer.decode(list(prompts[0])),
        "stop_ids": sorted(policy.stop_ids),
        "samples": samples,
        "sampling": sampling.model_dump(mode="json") | {"max_tokens": max_tokens},
        "max_tokens_asked": sampling.max_tokens,
        "seed": seed,
        "device": str(policy.device),
        "dtype": str(policy.autocast_dtype or policy.model.dtype).removeprefix("torch."),
        "problems": len(problems),
        "problems_sha256": _digest(problems),
        "versions": _versions(),
        **(notes or {}),
    }
    with nullcontext() if log is None else ResultsWriter(log, provenance) as writer:
        judging = _Judging(problems, samples, policy.template, pool, writer)

        def on_finish(problem_id: str, index: int, completion: Completion) -> None:
            judging.add(problem_id, index, completion)
            if progress is not None:
                progress(judging.finished, len(problems) * samples)

        engine.generate(requests, sampling, max_tokens, weight_version, on_finish)
        results = judging.wait()
    return score(results, policy.template, provenance, derive_seed(seed, "score"))


def replay(path: Path, pool: VerifierPool, log: Path | None = None) -> Scores:
    """Judge and score stored completions again, with today's template parser and verifiers but no model.

    `log` gets them with the new verdicts; the file read is never changed.
    """
    provenance, stored = read_results(path)
    template = Template.from_json(provenance.get("template"), where=f"the template in {path}")
    futures = [[_judge(sample, result.problem.gold, template, pool) for sample in result.samples] for result in stored]
    results = [
        replace(result, samples=tuple(replace(s, verdict=f.result()) for s, f in zip(result.samples, row, strict=True)))
        for result, row in zip(stored, futures, strict=True)
    ]
    provenance = provenance | {"replayed": str(path), "replay_versions": _versions()}
    if log is not None:
        if log.exists() and log.samefile(path):
            raise DataError(f"The replay of {str(path)!r} would overwrite it: give --out another folder.")
        with ResultsWriter(log, provenance) as writer:
            for result in results:
                writer.write(result)
    return score(results, template, provenance, derive_seed(int(provenance["seed"]), "score"))


class _Judging:
    """Sends finished completions to the pool and writes each problem, in order, as soon as all of it is judged."""

    def __init__(
        self,
        problems: Sequence[Problem],
        samples: int,
        template: Template,
        pool: VerifierPool,
        writer: ResultsWriter | None,
    ) -> None:
        self.finished = 0
        self._order = [problem.id for problem in problems]
        self._problems = {problem.id: problem for problem in problems}
        self._samples = samples
        self._template = template
        self._pool = pool
        self._writer = writer
        self._found: dict[str, dict[int, tuple[Completion, Future[Verdict]]]] = {one.id: {} for one in problems}
        self._results: list[ProblemResult] = []

    def add(self, problem_id: str, index: int, completion: Completion) -> None:
        """A completion has come to its end."""
        response = self._template.split(completion.text, finished=completion.finish_reason == "stop")
        gold = self._problems[problem_id].gold
        assert gold is not None, f"problem {problem_id!r} has no gold"
        self._found[problem_id][index] = completion, self._pool.submit(response.answer, gold)
        self.finished += 1
        self._write_judged()

    def wait(self) -> list[ProblemResult]:
        """The results of all problems, once the last verdict is there."""
        for found in self._found.values():
            for _, verdict in found.values():
                verdict.result()
        self._write_judged()
        assert len(self._results) == len(self._problems), "the engine did not finish every request"
        return self._results

    def _write_judged(self) -> None:
        while len(self._results) < len(self._order):
            problem_id = self._order[len(self._results)]
            found = self._found[problem_id]
            if len(found) < self._samples or not all(verdict.done() for _, verdict in found.values()):
                return
            result = ProblemResult(
                problem=self._problems[problem_id],
                samples=tuple(_sample(found[i][0], found[i][1].result()) for i in range(self._samples)),
            )
            self._results.append(result)
            if self._writer is not None:
                self._writer.write(result)


def _judge(sample: Sample, gold: Gold | None, template: Template, pool: VerifierPool) -> Future[Verdict]:
    if gold is None:
        raise DataError("The stored completions belong to problems without a gold answer, so they cannot be judged.")
    return pool.submit(template.split(sample.text, finished=sample.finish_reason == "stop").answer, gold)


def _sample(completion: Completion, verdict: Verdict) -> Sample:
    return Sample(
        text=completion.text,
        tokens=len(completion.token_ids),
        finish_reason=completion.finish_reason,
        seed=completion.seed,
        verdict=verdict,
    )


def _check(problems: Sequence[Problem]) -> None:
    if not problems:
        raise DataError("An evaluation needs at least one problem, got none. Check the source of the problems.")
    repeated = [one for one, count in Counter(problem.id for problem in problems).items() if count > 1]
    if repeated:
        raise DataError(
            f"An evaluation needs a different id for every problem, but {len(repeated)} occur more than once, such as "
            f"{repeated[0]!r}. Give the sources different names or map a column to `id`."
        )
    blind = [problem.id for problem in problems if problem.gold is None]
    if blind:
        raise DataError(
            f"An evaluation needs a gold answer for every problem; {len(blind)} of {len(problems)} have none, such as "
            f"{blind[0]!r}. Leave them out or give their answers."
        )


def _longest(prompts: Sequence[tuple[int, ...]], problems: Sequence[Problem], window: int) -> int:
    longest = max(len(prompt) for prompt in prompts)
    if longest >= window:
        worst = problems[[len(prompt) for prompt in prompts].index(longest)]
        raise DataError(
            f"The prompt of problem {worst.id!r} has {longest} tokens, but the model's window holds {window}, and the "
            "answer must fit too. Leave long problems out or take a model with a longer window; prompts are never cut."
        )
    return longest


def _digest(problems: Sequence[Problem]) -> str:
    text = json.dumps([to_json(problem) for problem in problems], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _versions() -> Mapping[str, Any]:
    return {
        "ponder": ponder.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }
