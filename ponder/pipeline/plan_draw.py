"""What a stage that only draws, `sample` or `evaluate`, would do on a machine of many cards."""

import math
from collections.abc import Iterator
from dataclasses import replace

from ponder.evaluation.benchmark import find_benchmark
from ponder.pipeline.assumed import assumed_of
from ponder.pipeline.cluster import Cluster
from ponder.pipeline.counts import benchmark_problems, known_problems
from ponder.pipeline.decoding import Engine, drawn
from ponder.pipeline.estimate import USUAL_RESPONSE, answer_limit
from ponder.pipeline.forecast import Forecast
from ponder.pipeline.placed import is_published
from ponder.pipeline.plan_cluster import NOT_HELD, engine_line
from ponder.pipeline.plan_words import time_text
from ponder.pipeline.shape import Shape, find_shape
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import EvaluateStage, SampleStage

__all__ = ["drawing_on"]

_REPLACED = ("memory", "time")


def drawing_on(recipe: Recipe, standing: Standing, told: Forecast, cluster: Cluster) -> Forecast:
    """`told` with memory and time of engines on all cards of the cluster; as it is where a model's shape or the number
    of its completions is not known."""
    stage = standing.stage
    if told.seconds is None or not isinstance(stage, SampleStage | EvaluateStage):
        return told
    lines = [line for line in told.lines if line[0] not in _REPLACED]
    tasks = list(_tasks(recipe, stage))
    if not tasks:
        return replace(told, lines=tuple(lines), seconds=None)
    assumed = replace(assumed_of(cluster, as_published=is_published(recipe, standing.name)), mean=USUAL_RESPONSE)
    bf16, spent = cluster.device.bf16(stage.precision), 0.0
    engines = {shape: Engine(shape=shape, cluster=cluster, config=stage.engine, bf16=bf16) for shape, _, _ in tasks}
    for shape, completions, limit in tasks:
        spent += drawn(engines[shape], assumed, completions=completions, limit=limit, cards=cluster.count).seconds
    largest = max(engines, key=lambda shape: shape.parameters)
    lines.append(engine_line(engines[largest], max(limit for shape, _, limit in tasks if shape == largest)))
    if not math.isfinite(spent):
        return replace(told, lines=tuple(lines), seconds=None, unknown=NOT_HELD, fits=False)
    lines.append(
        (
            "time",
            f"roughly {time_text(spent)} where all cards draw, completions of {USUAL_RESPONSE:.0%} of the limit and "
            f"the longest at it",
        )
    )
    return replace(told, lines=tuple(lines), wall=spent)


def _tasks(recipe: Recipe, stage: SampleStage | EvaluateStage) -> Iterator[tuple[Shape, int, int]]:
    """Each model with how many completions it draws and their limit, as far as that is known."""
    if isinstance(stage, SampleStage):
        shape = find_shape(recipe, str(stage.model))
        if isinstance(shape, Shape):
            yield shape, known_problems(stage.problems) * stage.samples, stage.sampling.max_tokens
        return
    shapes = (find_shape(recipe, model) for model in stage.models)
    for shape in (one for one in shapes if isinstance(one, Shape)):
        for benchmark in map(find_benchmark, stage.benchmarks):
            completions = (benchmark_problems(benchmark) or 0) * (stage.samples or benchmark.samples)
            if completions:
                yield shape, completions, answer_limit(benchmark, shape)
