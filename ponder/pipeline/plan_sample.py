"""What a `sample` stage would ask, what an endpoint would charge, and what a model here would need, line by line."""

from pathlib import Path

from ponder.pipeline.counts import problem_count
from ponder.pipeline.estimate import USUAL_RESPONSE, sample_work, seconds
from ponder.pipeline.forecast import Forecast, Line, fitting_device, memory_line, spent_text
from ponder.pipeline.machine import Device
from ponder.pipeline.memory import PROMPT_TOKENS, sampling_memory
from ponder.pipeline.plan_words import turns_line
from ponder.pipeline.shape import find_shape
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import SampleStage

__all__ = ["sampling"]

_UNCOUNTED = "the recipe does not say how many problems there are (limit)"
_ASSUMED = f"prompts of {PROMPT_TOKENS} tokens and completions of {USUAL_RESPONSE:.0%} of the limit"


def sampling(recipe: Recipe, standing: Standing, out: Path, here: Device) -> Forecast:
    """What is asked and paid, and the memory and time of a model in this process."""
    stage = standing.stage
    assert isinstance(stage, SampleStage), stage
    lines: list[Line] = [("asks", _asked(stage))]
    if stage.environment is not None:
        lines.append(turns_line(stage.environment))
    if stage.model is None:
        charged = _charged(stage)
        lines.append(("cost", charged if isinstance(charged, str) else _cost(stage, charged)))
        if isinstance(charged, str):
            return Forecast(lines=tuple(lines), unknown=f"the cost is {charged}")
        return Forecast(lines=tuple(lines), charged=charged)
    shape = find_shape(recipe, stage.model)
    if isinstance(shape, str):
        return Forecast(lines=(*lines, ("model", f"no estimate of memory and time: {shape}")), unknown=shape)
    parts = sampling_memory(
        shape,
        slots=stage.engine.max_slots,
        max_tokens=stage.sampling.max_tokens,
        bf16=here.bf16(stage.precision),
        bf16_cache=here.bf16_cache(stage.precision),
        cache_bytes=stage.engine.cache_bytes(here.memory_bytes),
    )
    total = sum(parts.values())
    lines.append(memory_line(parts, total, here))
    if problem_count(stage.problems) is None:
        return Forecast(lines=tuple(lines), unknown=_UNCOUNTED)
    device = fitting_device(total, here)
    spent = seconds(sample_work(stage), shape, device)
    told = (
        f"roughly {spent_text(spent, device, needed_bytes=total)} at {device.generate_flops:.1e} operations/s "
        f"assumed, {_ASSUMED}"
    )
    return Forecast(lines=(*lines, ("time", told)), device=device, seconds=spent)


def _asked(stage: SampleStage) -> str:
    """Example: 4,096 problems x 4 responses of at most 512 tokens from Qwen/Qwen2.5-7B, made into examples."""
    count = problem_count(stage.problems)
    problems = "problems" if count is None else f"{count:,} problems"
    return (
        f"{problems} x {stage.samples} responses of at most {stage.sampling.max_tokens:,} tokens from "
        f"{stage.reads()}, made into {stage.output}"
    )


def _charged(stage: SampleStage) -> float | str:
    """What the responses of an endpoint would cost, judging and rewriting not counted, or why that is not known."""
    endpoint, count = stage.endpoint, problem_count(stage.problems)
    assert endpoint is not None, stage
    if endpoint.price_per_million_input is None or endpoint.price_per_million_output is None:
        return "not known: set price_per_million_input and price_per_million_output"
    if count is None:
        return f"not known: {_UNCOUNTED}"
    sampled = stage.sampling.max_tokens * USUAL_RESPONSE
    each = endpoint.price_per_million_input * PROMPT_TOKENS + endpoint.price_per_million_output * sampled
    return count * stage.samples * each / 1e6


def _cost(stage: SampleStage, charged: float) -> str:
    replies = (problem_count(stage.problems) or 0) * stage.samples
    return f"roughly {charged:,.2f} for {replies:,} replies, {_ASSUMED} assumed"
