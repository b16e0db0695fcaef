"""Sample every problem k times, judge while sampling goes on, keep every completion, score.

    problems + engine -> calls of some problems each -> Judging -> completions file -> Scores

Protocol of R1 (v2, D.1): temperature 0.6, top-p 0.95, k samples per problem, pass@1 as their mean; greedy decoding is
not used, since it repeats itself and hides variance. The seed of a sample depends on the seed given, the problem's id
and the sample's number alone, so two evaluations of the same problems are paired sample by sample.

An evaluation that was killed can go on: problems whose call was finished stand in the file of completions and are not
sampled again. Calls are whole because the last bits of a log-prob depend on what is computed beside it.
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
from typing import Any, Literal

import ponder
from ponder.errors import DataError
from ponder.evaluation.judging import ByJudge, BySafety, ByVerifier, Judging, Measures, Verdicts, to_refuse
from ponder.evaluation.results import ProblemResult, ResultsWriter, kept_results, put_aside, read_results
from ponder.evaluation.scores import Scores, score
from ponder.judge import Judge, RuleJudge
from ponder.policy.voice import Voice
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, Problem, Verdict, to_json
from ponder.rollout.engine import Engine, GenerationState, Request
from ponder.seeds import derive_seed
from ponder.text.template import Template
from ponder.verify.pool import VerifierPool
from ponder.watch.pace import drawing_pace

__all__ = ["Judges", "OnTick", "check_problems", "evaluate", "problems_digest", "replay", "verdicts_of", "versions"]

Judges = Literal["correctness", "safety"]
"""What a judge says of a response."""

OnTick = Callable[[int, int, str], None]
"""Told how many completions are finished, of how many, and how fast they are drawn, in words."""

_PACKAGES = ("torch", "transformers", "tokenizers", "mpmath")


def evaluate(
    voice: Voice,
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
    progress: OnTick | None = None,
    judge: Judge | None = None,
    judges: Judges = "correctness",
    per_call: int | None = None,
    go_on: bool = False,
    measures: Sequence[str] = (),
) -> Scores:
    """The scores of what speaks with `voice`, which `engine` samples from, with `samples` completions of each problem.

    `model` names what is evaluated, and `notes` say more of it, in the provenance; `log` is the file that gets every
    completion. `judge` says whether an answer agrees with the gold, in place of the verifiers in `pool`; where it
    `judges` safety, whether a whole response is safe, and by rule without one. A call of the
    engine is for about `per_call` completions, or for all where it is None; with `go_on` the calls that `log` holds
    from an earlier, interrupted evaluation of the same kind are taken from there; those of another are put aside. The
    length limit is `sampling.max_tokens`, or less where the model's window ends before. `measures` are functions of the
    user's own that `pool` has loaded; the scores hold the mean of each. Raises DataError for problems that cannot be
    judged without the gold they lack, and for a prompt that fills the window: no prompt is ever cut.
    """
    problems = to_refuse(problems) if judges == "safety" else problems
    check_problems(problems, needs_gold=judge is not None)
    prompts = [voice.prompt(problem.messages) for problem in problems]
    max_tokens = min(sampling.max_tokens, voice.window - _longest(prompts, problems, voice.window))
    requests = [
        Request(
            prompt_ids=prompt,
            seeds=tuple(derive_seed(seed, "evaluate", problem.id, i) for i in range(samples)),
            key=problem.id,
            problem=problem,
        )
        for prompt, problem in zip(prompts, problems, strict=True)
    ]
    provenance = {
        "model": model,
        "weight_version": weight_version,
        "parameters": voice.parameters,
        "template": voice.template.to_json(),
        "first_prompt": voice.tokenizer.decode(list(prompts[0])),
        "stop_ids": sorted(voice.stop_ids),
        "samples": samples,
        "sampling": sampling.model_dump(mode="json") | {"max_tokens": max_tokens},
        "max_tokens_asked": sampling.max_tokens,
        "seed": seed,
        "device": voice.device,
        "dtype": voice.dtype,
        "problems": len(problems),
        "problems_sha256": problems_digest(problems),
        "versions": versions(),
        **({"measures": list(measures)} if measures else {}),
        **({"tools": [to_json(tool) for tool in voice.tools]} if voice.tools else {}),
        **(notes or {}),
    }
    own = Measures(pool=pool, names=tuple(measures), max_tokens=max_tokens)
    verdicts = verdicts_of(pool, judge, judges)
    size = len(problems) if per_call is None else max(1, per_call // samples)
    results = kept_results(log, provenance, size) if log is not None and go_on else []
    if log is not None and go_on and not results:
        put_aside(log, provenance)
    with nullcontext() if log is None else ResultsWriter(log, provenance, keep=len(results)) as writer:

        def take(result: ProblemResult) -> None:
            results.append(result)
            if writer is not None:
                writer.write(result)

        finished, total, pace = len(results) * samples, len(problems) * samples, ""
        for start in range(len(results), len(problems), size):
            judging = Judging(problems[start : start + size], samples, voice.template, verdicts, take, own)

            def on_finish(problem_id: str, index: int, completion: Completion, judging: Judging = judging) -> None:
                nonlocal finished
                judging.add(problem_id, index, completion)
                finished += 1
                if progress is not None:
                    progress(finished, total, pace)

            def on_progress(state: GenerationState, later: int = total - (start + size) * samples) -> None:
                nonlocal pace
                asked = state.total + max(0, later)
                pace = drawing_pace(state.tokens, state.finished, asked, state.seconds, max_tokens)
                if progress is not None:
                    progress(finished, total, pace)

            part = requests[start : start + size]
            engine.generate(part, sampling, max_tokens, weight_version, on_finish, on_progress)
            judging.wait()
    return score(results, voice.template, provenance, derive_seed(seed, "score"))


def replay(path: Path, pool: VerifierPool, log: Path | None = None) -> Scores:
    """Judge and score stored completions again, with today's template parser and verifiers but no model.

    `log` gets them with the new verdicts; the file read is never changed.
    """
    provenance, stored = read_results(path)
    template = Template.from_json(provenance.get("template"), where=f"the template in {path}")
    if provenance.get("judge") is not None:
        raise DataError(
            f"The completions in {str(path)!r} were judged by {provenance['judge']}, not by rules, so they cannot be "
            "judged again here: run their `evaluate` stage again with --redo."
        )
    benchmark = provenance.get("benchmark") or {}
    verdicts = verdicts_of(pool, None, "safety" if benchmark.get("judge") == "safety" else "correctness")
    futures = [_judge_again(result, verdicts, template) for result in stored]
    verdicts.settle()
    results = [
        replace(result, samples=tuple(replace(s, verdict=f.result()) for s, f in zip(result.samples, row, strict=True)))
        for result, row in zip(stored, futures, strict=True)
    ]
    provenance = provenance | {"replayed": str(path), "replay_versions": versions()}
    if log is not None:
        if log.exists() and log.samefile(path):
            raise DataError(f"The replay of {str(path)!r} would overwrite it: give --out another folder.")
        with ResultsWriter(log, provenance) as writer:
            for result in results:
                writer.write(result)
    return score(results, template, provenance, derive_seed(int(provenance["seed"]), "score"))


def _judge_again(result: ProblemResult, verdicts: Verdicts, template: Template) -> list[Future[Verdict]]:
    responses = [template.split(s.text, finished=s.finish_reason == "stop") for s in result.samples]
    return [
        verdicts.submit(result.problem, response, sample.text)
        for response, sample in zip(responses, result.samples, strict=True)
    ]


def verdicts_of(pool: VerifierPool, judge: Judge | None, judges: Judges) -> Verdicts:
    """Who says what is right."""
    if judges == "safety":
        return BySafety(judge or RuleJudge(pool))
    return ByVerifier(pool) if judge is None else ByJudge(judge)


def check_problems(problems: Sequence[Problem], *, needs_gold: bool) -> None:
    """DataError for problems of one name, or without a gold answer where something needs it."""
    if not problems:
        raise DataError("An evaluation needs at least one problem, got none. Check the source of the problems.")
    repeated = [one for one, count in Counter(problem.id for problem in problems).items() if count > 1]
    if repeated:
        raise DataError(
            f"An evaluation needs a different id for every problem, but {len(repeated)} occur more than once, such as "
            f"{repeated[0]!r}. Give the sources different names or map a column to `id`."
        )
    blind = [
        problem.id for problem in problems if problem.gold is None and (needs_gold or problem.route == "reasoning")
    ]
    if blind:
        raise DataError(
            f"An evaluation needs a gold answer for every problem that is judged by itself; {len(blind)} of "
            f"{len(problems)} have none, such as {blind[0]!r}. Leave them out or give their answers."
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


def problems_digest(problems: Sequence[Problem]) -> str:
    """SHA-256 of the problems as they are."""
    text = json.dumps([to_json(problem) for problem in problems], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def versions() -> Mapping[str, Any]:
    """Of what a score depends on."""
    return {
        "ponder": ponder.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }
