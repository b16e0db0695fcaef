"""How much a stage works on, as far as its recipe says: problems, examples, rows of preferences.

None is what only reading the data can tell. What a `sample` stage keeps is counted as if nothing were rejected, so
whatever is made from it is an upper bound.
"""

from collections.abc import Mapping, Sequence

from ponder.evaluation.benchmark import Benchmark
from ponder.recipe.examples import ExampleSource, MicroExamples, StageExamples
from ponder.recipe.problems import GymProblems, MicroProblems, ProblemSource
from ponder.recipe.reward_model import MicroPreferences, PreferenceSource, StagePreferences
from ponder.recipe.stages import RewardModelStage, SampleStage, SftStage, Stage

__all__ = [
    "Stages",
    "benchmark_problems",
    "known_problems",
    "most_kept",
    "preference_rows",
    "problem_count",
    "sft_examples",
]

Stages = Mapping[str, Stage]
"""The recipe's stages by name, of which some make what others read."""


def benchmark_problems(benchmark: Benchmark) -> int | None:
    """Problems of a benchmark, as it says or as its sources do."""
    return benchmark.size or problem_count(benchmark.problems)


def known_problems(sources: Sequence[ProblemSource]) -> int:
    """Problems of those sources whose number is known; the others count as none."""
    return sum(_least(_generated(source), source.limit) or 0 for source in sources)


def problem_count(sources: Sequence[ProblemSource]) -> int | None:
    """Problems of all sources."""
    counts = [_least(_generated(source), source.limit) for source in sources]
    return None if None in counts else sum(filter(None, counts))


def most_kept(stage: SampleStage) -> int | None:
    """Examples, pairs, labels or problems of a `sample` stage if no rule rejects any."""
    problems, samples = problem_count(stage.problems), stage.samples
    most = {
        "examples": min(samples, stage.keep.distinct or samples, stage.keep.best_of or samples),
        "pairs": min(stage.pairs.per_problem, samples * (samples - 1) // 2),
        "labels": samples,
        "problems": 1,
    }
    return None if problems is None else problems * most[stage.output]


def sft_examples(stage: SftStage, stages: Stages) -> int | None:
    """Examples that the stage trains on in all, repeats counted."""
    if stage.steps is not None:
        return stage.steps * stage.batch_size
    counts = [_examples(source, stages) for source in stage.examples]
    if None in counts:
        return None
    known = sum(source.weight * (count or 0) for source, count in zip(stage.examples, counts, strict=True))
    return max(1, round(stage.epochs * known * (1 - stage.validation_share)))


def preference_rows(stage: RewardModelStage, stages: Stages) -> int | None:
    """Rows of a reward model's data."""
    counts = [_preferences(source, stages) for source in stage.data]
    return None if None in counts else sum(filter(None, counts))


def _generated(source: ProblemSource) -> int | None:
    return source.count if isinstance(source, MicroProblems | GymProblems) else None


def _examples(source: ExampleSource, stages: Stages) -> int | None:
    count = source.count if isinstance(source, MicroExamples) else None
    if isinstance(source, StageExamples):
        count = _made(source.stage, stages)
    return _least(count, source.limit)


def _preferences(source: PreferenceSource, stages: Stages) -> int | None:
    count = source.count if isinstance(source, MicroPreferences) else None
    if isinstance(source, StagePreferences):
        count = _made(source.stage, stages)
    return _least(count, source.limit)


def _made(name: str, stages: Stages) -> int | None:
    stage = stages.get(name)
    return most_kept(stage) if isinstance(stage, SampleStage) else None


def _least(*counts: int | None) -> int | None:
    return min((count for count in counts if count is not None), default=None)
