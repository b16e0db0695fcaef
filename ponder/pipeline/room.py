"""Whether a model fits this machine at all, told before anything is loaded.

Counted is only what surely has to be there at the same time: what a plan adds by assumption (activations, caches) is
left out, so nothing that could run is refused.
"""

from collections.abc import Collection, Mapping

from ponder.errors import ModelError
from ponder.pipeline.machine import Device, this_device
from ponder.pipeline.plan_words import bytes_text, count_text
from ponder.pipeline.shape import Shape, find_shape, model_shape
from ponder.recipe.base import Component
from ponder.recipe.graph import downstream
from ponder.recipe.recipe import Recipe
from ponder.recipe.shape import check_context
from ponder.recipe.stages import PretrainStage, RewardModelStage, RlStage, SampleStage, SftStage
from ponder.share import stages_at_once

__all__ = ["check_room", "least_bytes", "room_to_update"]

_FP32, _BF16 = 4, 2
_PROCESS = 300 * 2**20
"""What a process that trains has for itself before it has a model: torch and transformers."""


def check_room(recipe: Recipe, here: Device | None = None, done: Collection[str] = (), *, alone: bool = False) -> None:
    """ModelError for the first stage whose model cannot be held here, however its settings are chosen; those `done`,
    perhaps on another machine, are not run. With `alone` stages run one after the other, whatever `at_once` says."""
    device = this_device() if here is None else here
    held: dict[str, int] = {}
    for name, stage in recipe.stages.items():
        if name in done or not isinstance(stage, PretrainStage | RlStage | SftStage | RewardModelStage | SampleStage):
            continue
        reference = name if isinstance(stage, PretrainStage) else stage.model
        shape = None if reference is None else find_shape(recipe, reference)
        if not isinstance(shape, Shape):
            continue
        if not isinstance(stage, SampleStage):
            check_context(shape.heads, str(reference), stage.batch.context, f"stage {name!r}: `batch.context`")
        needed, what = least_bytes(stage, shape, bf16=device.bf16(stage.precision))
        ranks = 1 if isinstance(stage, SampleStage) else stage.batch.ranks
        if ranks > 1 and device.is_cpu and needed <= device.memory_bytes:
            together = needed + shape.parameters * _FP32 + ranks * _PROCESS
            if together > device.memory_bytes:
                fitting = int((device.memory_bytes - needed - shape.parameters * _FP32) // _PROCESS)
                raise ModelError(
                    f"stage {name!r}: `batch.ranks` is {ranks}, and the parts of {reference} on all of them, its "
                    f"weights in the process that samples and {bytes_text(_PROCESS)} of libraries in each take "
                    f"{bytes_text(together)}; {device.name} has {bytes_text(device.memory_bytes)}. Set it to "
                    f"{fitting if fitting > 1 else 1} or less"
                )
        cards = stage.batch.ranks if not isinstance(stage, SampleStage) and not device.is_cpu else 1
        if needed > cards * device.memory_bytes:
            has = bytes_text(device.memory_bytes) + (f" on each of {cards}" if cards > 1 else "")
            raise ModelError(
                f"stage {name!r}: {reference} has {count_text(shape.parameters)} parameters, and {what} alone takes "
                f"{bytes_text(needed)}; {device.name} has {has}. Take a smaller model, `lora` in a stage of kind sft, "
                "or a machine with more: `ponder plan` says what the whole stage needs"
            )
        held[name] = needed + _PROCESS
    if device.is_cpu and not alone:
        _check_beside(recipe, held, device)


def _check_beside(recipe: Recipe, held: Mapping[str, int], device: Device) -> None:
    """ModelError for stages that can run at the same time and cannot be held together; `held` is what each takes."""
    after = {name: downstream(recipe, name) for name in held}
    beside = {
        name: {other for other in held if other != name and other not in after[name] and name not in after[other]}
        for name in held
    }
    most = _largest(held, beside, stages_at_once(recipe.at_once))
    together = sum(held[name] for name in most)
    if len(most) > 1 and together > device.memory_bytes:
        raise ModelError(
            f"`at_once` is {recipe.at_once}, so that the stages {', '.join(most)} can run at the same time, whose "
            f"models take {bytes_text(together)} together; {device.name} has {bytes_text(device.memory_bytes)}. Give "
            "at_once=1"
        )


def _largest(
    held: Mapping[str, int], beside: Mapping[str, Collection[str]], count: int, least: int = 0
) -> tuple[str, ...]:
    """At most `count` of the stages, all of which may run beside each other, that take the most together; none where
    that is no more than `least`."""
    found: tuple[str, ...] = ()
    left = sorted(held, key=held.__getitem__, reverse=True)
    while left and count and sum(held[name] for name in left[:count]) > least:  # else nothing that is left takes more
        name = left.pop(0)
        others = {other: held[other] for other in left if other in beside[name]}
        chosen = (name, *_largest(others, beside, count - 1, least - held[name]))
        together = sum(held[one] for one in chosen)
        if together > least:
            found, least = chosen, together
    return found


def room_to_update(model: str, here: Device | None = None) -> bool:
    """Whether gradients of all of a model's weights can be held here beside them, as far as its size is known.
    ModelError where not even the weights can, as they are read."""
    device, shape = this_device() if here is None else here, model_shape(model)
    if not isinstance(shape, Shape):
        return True
    held = shape.parameters * _FP32
    if held > device.memory_bytes:
        raise ModelError(
            f"{model} has {count_text(shape.parameters)} parameters, and reading it takes {bytes_text(held)}; "
            f"{device.name} has {bytes_text(device.memory_bytes)}. Take a smaller model, or a machine with more"
        )
    return 2 * held <= device.memory_bytes


def least_bytes(stage: Component, shape: Shape, *, bf16: bool) -> tuple[int, str]:
    """Bytes without which the stage cannot run, and what they are for. All weights are trained in float32, with two
    moments and a gradient each; LoRA trains few of them; a model that only writes is kept as it multiplies."""
    number = _BF16 if bf16 else _FP32
    if isinstance(stage, SampleStage):
        return shape.parameters * number, "holding it"
    if isinstance(stage, SftStage) and stage.lora is not None:
        return shape.parameters * number, "holding it"
    return shape.parameters * 4 * _FP32, "training it (weights, gradients, two moments)"
