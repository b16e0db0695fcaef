"""What an `evaluate` stage would sample, and the memory and time of its models, line by line."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ponder.errors import PonderError
from ponder.evaluation.benchmark import Benchmark, find_benchmark
from ponder.pipeline.counts import benchmark_problems
from ponder.pipeline.estimate import USUAL_RESPONSE, evaluate_work, seconds
from ponder.pipeline.forecast import Forecast, Line, fitting_device, memory_line, spent_text
from ponder.pipeline.machine import Device
from ponder.pipeline.memory import PROMPT_TOKENS, sampling_memory
from ponder.pipeline.plan_words import turns_line
from ponder.pipeline.shape import Shape, find_shape
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import EvaluateStage

__all__ = ["evaluating"]


def evaluating(recipe: Recipe, standing: Standing, out: Path, here: Device) -> Forecast:
    """Completions, memory and time, as far as models and benchmarks are known; what judges read is not counted."""
    stage = standing.stage
    assert isinstance(stage, EvaluateStage), stage
    try:
        benchmarks = [find_benchmark(name) for name in stage.benchmarks]
    except PonderError:  # the plan's last line says what is wrong with it
        return Forecast(unknown="a benchmark cannot be read")
    paid = _paid(stage, benchmarks)
    charged = sum(one for one in paid.values() if one is not None)
    turns = [] if stage.environment is None else [turns_line(stage.environment)]
    lines = [_asked(stage, benchmarks), *turns, *map(_cost, paid.items())]
    if not stage.models:
        return Forecast(lines=tuple(lines), charged=charged, unknown="how fast endpoints reply is not known")
    shapes = {model: find_shape(recipe, model) for model in stage.models}
    known = [shape for shape in shapes.values() if isinstance(shape, Shape)]
    missing = [f"the size of {one.name}" for one in benchmarks if benchmark_problems(one) is None]
    missing += [f"the shape of {model}" for model, shape in shapes.items() if isinstance(shape, str)]
    if not known:
        lines.append(("model", f"no estimate of memory and time: {next(map(str, shapes.values()))}"))
        return Forecast(lines=tuple(lines), charged=charged, unknown="no model's shape is known")
    largest = max(known, key=lambda shape: shape.parameters)
    parts = sampling_memory(
        largest,
        slots=stage.engine.max_slots,
        max_tokens=min(max(one.max_tokens for one in benchmarks), largest.window or sys.maxsize),
        bf16=here.bf16(stage.precision),
        bf16_cache=here.bf16_cache(stage.precision),
        cache_bytes=stage.engine.cache_bytes(here.memory_bytes),
    )
    total = sum(parts.values())
    lines.append(memory_line(parts, total, here))
    device = fitting_device(total, here)
    spent = sum(seconds(evaluate_work(stage, benchmarks, shape), shape, device) for shape in known)
    without = f"; without {', '.join(missing)}, which is not known" if missing else ""
    told = (
        f"roughly {spent_text(spent, device, needed_bytes=total)} at {device.generate_flops:.1e} operations/s assumed, "
        f"prompts of {PROMPT_TOKENS} tokens and completions of {USUAL_RESPONSE:.0%} of the limit{without}"
    )
    return Forecast(
        lines=(*lines, ("time", told)),
        device=device,
        seconds=spent,
        charged=charged,
        unknown=f"{', '.join(missing)} is not known" if missing else "",
    )


def _asked(stage: EvaluateStage, benchmarks: Sequence[Benchmark]) -> Line:
    """Example: 2 models x 240 completions: 30 x 8 aime24."""
    counts = [(benchmark_problems(one), stage.samples or one.samples, one.name) for one in benchmarks]
    total = sum((problems or 0) * samples for problems, samples, _ in counts)
    listed = ", ".join(f"{'?' if problems is None else f'{problems:,}'} x {k} {name}" for problems, k, name in counts)
    return "asks", f"{len(stage.names())} models x {total:,} completions: {listed}"


def _paid(stage: EvaluateStage, benchmarks: Sequence[Benchmark]) -> dict[str, float | None]:
    """What each endpoint would charge for benchmarks of a known size; None where its prices are not known."""
    counted = [((benchmark_problems(one) or 0) * (stage.samples or one.samples), one.max_tokens) for one in benchmarks]
    found: dict[str, float | None] = {}
    for name, endpoint in stage.served.items():
        into, out = endpoint.price_per_million_input, endpoint.price_per_million_output
        found[name] = (
            sum(replies * (into * PROMPT_TOKENS + out * limit * USUAL_RESPONSE) for replies, limit in counted) / 1e6
            if into is not None and out is not None
            else None
        )
    return found


def _cost(paid: tuple[str, float | None]) -> Line:
    name, charged = paid
    if charged is None:
        return "cost", f"of {name} not known: set price_per_million_input and price_per_million_output"
    return "cost", f"of {name} roughly {charged:,.2f} for benchmarks of a known size"
