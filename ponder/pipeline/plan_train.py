"""What a stage that trains would do: its batch, its memory and its time, line by line."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.pipeline.counts import Stages, preference_rows
from ponder.pipeline.estimate import USUAL_EXAMPLE, USUAL_SHARE_OF_LIMIT, seconds, updates, work
from ponder.pipeline.forecast import Forecast, Line, fitting_device, memory_line, spent_text
from ponder.pipeline.machine import CLUSTER_DEVICE, Device
from ponder.pipeline.measured import find_measured, find_rates
from ponder.pipeline.memory import (
    PROMPT_TOKENS,
    Beside,
    Trained,
    each_rank,
    gathered_bytes,
    largest_pass,
    memory,
    peak,
    phases,
)
from ponder.pipeline.plan_judges import charged, judging
from ponder.pipeline.plan_words import bytes_text, count_text, counted, turns_line
from ponder.pipeline.shape import Shape, find_shape
from ponder.pipeline.survey import Standing
from ponder.recipe.examples import StageExamples
from ponder.recipe.recipe import Recipe
from ponder.recipe.recompute import kept_bytes, recomputes, room_bytes
from ponder.recipe.reward_model import StagePreferences
from ponder.recipe.stages import PretrainStage, RewardModelStage, RlStage, SftStage
from ponder.share import threads_each

__all__ = ["beside_of", "training"]

_ASSUMED = {
    "rl": f", prompts of {PROMPT_TOKENS} tokens and completions of {USUAL_SHARE_OF_LIMIT:.0%} of the limit",
    "sft": f", examples of {USUAL_EXAMPLE:.0%} of the limit",
    "reward_model": f", prompts of {PROMPT_TOKENS} tokens and answers of twice that",
    "pretrain": "",
}
"""What a time without a measurement assumes of the data."""


def training(recipe: Recipe, standing: Standing, out: Path, here: Device) -> Forecast:
    """Batch, model, memory and time of a stage that trains; no memory and time where the model's shape is not known."""
    stage: Any = standing.stage
    lines = list(_BATCH[stage.kind](stage, recipe.stages))
    # A pretrain stage makes the model it is asked about, the others go on from one.
    shape = find_shape(recipe, standing.name)
    if isinstance(shape, str):
        return Forecast(lines=(*lines, ("model", f"no estimate of memory and time: {shape}")), unknown=shape)
    active = f", {count_text(shape.active)} active per token" if shape.active < 0.5 * shape.parameters else ""
    lines.append(("model", f"{shape.model_type}, {count_text(shape.parameters)} parameters{active} ({_from(shape)})"))
    beside = beside_of(recipe, stage, shape)
    critic = beside.critic
    if critic is not None:
        lines.append(("critic", f"{count_text(critic.parameters)} parameters, trained beside it"))
    parts = memory(
        stage,
        shape,
        bf16=here.bf16(stage.precision),
        bf16_cache=here.bf16_cache(stage.precision),
        scorers=beside.frozen,
        critic=critic,
        on_cpu=here.is_cpu,
        room=room_for(stage, shape, here),
        cache_bytes=stage.engine.cache_bytes(here.memory_bytes) if isinstance(stage, RlStage) else None,
    )
    total = peak(parts)
    lines += [memory_line(parts, total, here), phases_line(stage, shape, parts, here)]
    if stage.batch.ranks > 1:
        lines.append(ranks_line(parts, stage.batch.ranks, here, gathered_bytes(shape)))
    return _timed(stage, recipe, shape, critic, lines, total, here, standing, out)


def beside_of(recipe: Recipe, stage: Trained, policy: Shape) -> Beside:
    """The models beside the one that is trained, as far as their shapes are known."""
    # What a critic begins as does not score.
    scoring = stage.reward_models.values() if isinstance(stage, RlStage) else stage.scorers()
    writing = [one for one in stage.writers() if one != stage.model] if isinstance(stage, RlStage) else []
    return Beside(
        critic=_critic(recipe, stage, policy),
        reward_models=_known(recipe, scoring),
        judges=_known(recipe, writing),
    )


def _known(recipe: Recipe, references: Iterable[str]) -> tuple[Shape, ...]:
    found = (find_shape(recipe, reference) for reference in references)
    return tuple(shape for shape in found if isinstance(shape, Shape))


def _critic(recipe: Recipe, stage: Trained, policy: Shape) -> Shape | None:
    """The critic that is trained, taken for one of the policy's size where its own is not known; None without one."""
    settings = stage.learnt_critic() if isinstance(stage, RlStage) else None
    if settings is None or settings.model is None:
        return None if settings is None else policy
    found = find_shape(recipe, settings.model)
    return found if isinstance(found, Shape) else policy


def room_for(stage: Trained, shape: Shape, device: Device) -> int:
    """What the activations of a pass may take there before they are computed again."""
    ranks = stage.batch.ranks
    return room_bytes(device.memory_bytes // (ranks if device.is_cpu else 1), shape.parameters, ranks)


def phases_line(stage: Trained, shape: Shape, parts: Mapping[str, int], here: Device) -> Line:
    """Example: ("phases", "sampling 3 GiB, update 5 GiB (longest pass 4,096 tokens, activations computed again)")."""
    listed = ", ".join(f"{name} {bytes_text(size)}" for name, size in phases(parts).items())
    tokens, bf16 = largest_pass(stage, shape), here.bf16(stage.precision)
    again = recomputes(stage.batch.recompute, kept_bytes(shape, tokens, bf16=bf16), room_for(stage, shape, here))
    return "phases", f"{listed} (longest pass {tokens:,} tokens, activations {'computed again' if again else 'kept'})"


def ranks_line(parts: Mapping[str, int], ranks: int, here: Device, gathered: int = 0) -> Line:
    """Example: ("ranks", "2 processes beside this one, each about 3 GiB at its peak: a part in 2 of ...")."""
    most = each_rank(parts, ranks, gathered)
    total = most * ranks + parts["weights"]
    held = "a GPU each" if not here.is_cpu else f"{bytes_text(total)} of {bytes_text(here.memory_bytes)} in all"
    fits = "" if (most if not here.is_cpu else total) <= here.memory_bytes else ", too much"
    return (
        "ranks",
        f"{ranks} processes beside this one, each about {bytes_text(most)} at its peak ({held}{fits}): one part in "
        f"{ranks} of weights, gradients and moments; this one samples",
    )


def _timed(
    stage: Trained,
    recipe: Recipe,
    shape: Shape,
    critic: Shape | None,
    lines: list[Line],
    needed_bytes: int,
    here: Device,
    standing: Standing,
    out: Path,
) -> Forecast:
    """The forecast with its time: as measured if it was, of one update where only the data tell how many there are."""
    device, measured = fitting_device(needed_bytes, here), find_measured(standing, out)
    stages = recipe.stages
    count, first = updates(stage, stages), 0 if measured is None else measured.steps_done
    left = 1 if count is None else max(0, count - first)
    what = " for an update" if count is None else f" for {left:,} updates"
    if measured is not None and device is here:
        # What had the whole machine takes longer beside others.
        whole = measured.threads is None or measured.threads > threads_each(recipe.at_once)
        spent = left * measured.seconds_per_step / (here.share if whole else 1.0)
        told = f"about {spent_text(spent, device, what)}, from {measured.origin}"
    elif device is here and (rates := find_rates(shape)) is not None:
        lengths = rates.mean_tokens if isinstance(stage, RlStage) and stage.template == rates.template else None
        sampled, trained = rates.sampled * here.share, rates.trained * here.share
        known = replace(here, generate_flops=2 * shape.active * sampled, train_flops=6 * shape.active * trained)
        spent = seconds(work(stage, stages, shape, first, lengths), shape, known, critic)
        told = (
            f"about {spent_text(spent, here, what)}, at {sampled:,.0f} tokens/s sampled and {trained:,.0f} trained as "
            f"measured in {rates.origin}"
            + (f" and {here.share:.0%} of that beside other stages" if here.share < 1 else "")
            + (_ASSUMED[stage.kind] if lengths is None else f", completions of {lengths:.0f} tokens, the limit at most")
        )
    else:
        lengths = None if measured is None else measured.mean_tokens
        spent = seconds(work(stage, stages, shape, first, lengths), shape, device, critic)
        guess = "" if device is CLUSTER_DEVICE else "; a first run replaces this guess"
        told = (
            f"roughly {spent_text(spent, device, what, needed_bytes)}, at {device.generate_flops:.1e} (sampling) and "
            f"{device.train_flops:.1e} (training) operations/s assumed{_ASSUMED[stage.kind]}{guess}"
        )
    return Forecast(
        lines=(*lines, ("time", told), *(judging(stage, left) if isinstance(stage, RlStage) else ())),
        device=device,
        charged=charged(stage, left) if isinstance(stage, RlStage) else 0.0,
        seconds=None if count is None else spent,
        unknown="only its data tell how many updates it makes" if count is None else "",
    )


def _from(shape: Shape) -> str:
    return f"from {shape.origin}"


def _rl(stage: RlStage, stages: Stages) -> Iterator[Line]:
    problems = stage.problems_per_step * stage.updates_per_rollout
    limits = [f"{stage.sampling.max_tokens:,}"]
    limits += [f"{change.max_tokens:,} from step {change.from_step:,}" for change in stage.sampling.length_schedule]
    yield "update", f"{stage.problems_per_step} problems x {stage.group_size} completions, {stage.steps:,} updates"
    yield (
        "rollout",
        f"{problems:,} problems, {problems * stage.group_size:,} completions of at most {', '.join(limits)} tokens, "
        f"for {stage.updates_per_rollout} update{'s' if stage.updates_per_rollout > 1 else ''}; "
        f"{min(stage.engine.max_slots, problems * stage.group_size):,} at one time",
    )
    if lag := stage.engine.lag:
        oldest = stage.updates_per_rollout * (lag + 1) - 1
        yield (
            "lag",
            f"{lag}: completions are {stage.updates_per_rollout * lag} to {oldest} updates old when they are learnt "
            f"from; {lag} more {'copies' if lag > 1 else 'copy'} of the weights draw meanwhile, on half of the "
            f"cores or where `--on` places engines",
        )
    if stage.environment is not None:
        yield turns_line(stage.environment)
    mean = stage.sampling.max_tokens * USUAL_SHARE_OF_LIMIT
    usual, alone = stage.group_size * mean + PROMPT_TOKENS, mean + PROMPT_TOKENS
    batch = stage.batch
    tokens, seats = batch.tokens_per_micro_batch * batch.context, batch.ranks // batch.context
    passes = math.ceil(stage.problems_per_step * usual / max(tokens, alone))
    told = f", {seats} at a time" if seats > 1 else ""
    told += f", each shared by {batch.context} ranks" if batch.context > 1 else ""
    longest = stage.longest_completion() + PROMPT_TOKENS
    longer = f", a longer sequence (up to {longest:,}) in one of its own," if longest > tokens else ""
    yield "passes", f"about {counted(passes, 'micro-batch')} of at most {tokens:,} tokens{longer} per update{told}"


def _pretrain(stage: PretrainStage, stages: Stages) -> Iterator[Line]:
    count = updates(stage, stages)
    yield "batch", f"{stage.tokens:,} tokens in {count:,} updates of {stage.tokens_per_step:,} tokens"


def _sft(stage: SftStage, stages: Stages) -> Iterator[Line]:
    count = updates(stage, stages)
    told = f"; {stage.epochs:g} epochs, their number known once the examples are there"
    if count is not None:
        sampled = stage.steps is None and any(isinstance(source, StageExamples) for source in stage.examples)
        told = f", {'at most ' if sampled else ''}{count:,} updates"
    yield "update", f"{stage.batch_size} examples{told}"


def _reward_model(stage: RewardModelStage, stages: Stages) -> Iterator[Line]:
    rows, count = preference_rows(stage, stages), updates(stage, stages)
    most = "at most " if any(isinstance(source, StagePreferences) for source in stage.data) else ""
    yield (
        "batch",
        f"{'an unknown number of' if rows is None else f'{most}{rows:,}'} rows, {stage.epochs} epoch"
        f"{'s' if stage.epochs > 1 else ''}, {stage.batch_size} rows per update"
        f"{'' if count is None else f', at most {count:,} updates'}",
    )


_BATCH: Mapping[str, Callable[[Any, Stages], Iterator[Line]]] = {
    "rl": _rl,
    "pretrain": _pretrain,
    "sft": _sft,
    "reward_model": _reward_model,
}
