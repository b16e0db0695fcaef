"""The `evaluate` stage: k samples per problem of each model on each benchmark.

In: models and benchmarks by name. Out: for each pair `evaluation/<model>--<benchmark>.json` and its completions beside
it; a pair whose scores are there from an earlier session is not sampled again. Protocol: R1 v2, D.1 (see
`evaluation.evaluate`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.errors import RecipeError
from ponder.evaluation.benchmark import Benchmark, find_benchmark
from ponder.evaluation.command import file_name, measure
from ponder.evaluation.scores import read_scores, write_scores
from ponder.policy.load import load_policy
from ponder.recipe.problems import MicroProblems
from ponder.recipe.stages import EvaluateStage
from ponder.seeds import derive_seed
from ponder.stages.context import Context
from ponder.stages.smoke import SMOKE_PROBLEMS, smoke_policy

__all__ = ["run_evaluate"]


def run_evaluate(context: Context[EvaluateStage]) -> Mapping[str, Any]:
    """Evaluate every model on every benchmark; returns {model: {benchmark: numbers}}."""
    config = context.config
    benchmarks = {name: _benchmark(name, context.smoke) for name in config.benchmarks}
    if len({file_name(model) for model in config.models}) < len(config.models):
        raise RecipeError(f"Stage {context.name!r} names one model twice: {', '.join(config.models)}.")
    results: dict[str, dict[str, Any]] = {}
    for model in config.models:
        results[model] = {}
        for name, benchmark in benchmarks.items():
            path = context.folder / "evaluation" / f"{file_name(model)}--{benchmark.name}.json"
            if not path.exists():
                _evaluate(context, model, benchmark, path)
            scores = read_scores(path)
            results[model][name] = scores.overall.to_json()
            low, high = scores.overall.interval
            context.say(
                f"{context.name}: {model} on {name}: pass@1 {scores.overall.pass_at_1:.3f} ({low:.3f} to {high:.3f})"
                + (f", {scores.invalid}" if scores.invalid else "")
            )
    return results


def _benchmark(name: str, smoke: bool) -> Benchmark:
    """In a smoke run a few problems of the embedded world stand for any benchmark: nothing is downloaded."""
    benchmark = find_benchmark(name)
    if not smoke:
        return benchmark
    source = MicroProblems(count=SMOKE_PROBLEMS, split="test")
    return Benchmark(name=benchmark.name, problems=(source,), samples=2, max_tokens=8)


def _evaluate(context: Context[EvaluateStage], model: str, benchmark: Benchmark, path: Path) -> None:
    source = context.model_source(model)
    if context.smoke and model not in context.inputs:
        policy = smoke_policy(source, None, context.seed)
    else:
        policy = load_policy(source, precision=context.config.precision)
    scores = measure(
        policy,
        benchmark,
        model=model,
        samples=2 if context.smoke else context.config.samples,
        temperature=context.config.temperature,
        top_p=context.config.top_p,
        seed=derive_seed(context.seed, benchmark.name),
        log=path.with_suffix(".jsonl"),
    )
    write_scores(path, scores)
