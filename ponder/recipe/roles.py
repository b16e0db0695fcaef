"""Which stage of a recipe plays which part of R1, so that the report can compare like the paper does."""

from collections.abc import Iterator, Mapping

from pydantic import Field

from ponder.recipe.base import Component

__all__ = ["COMPARED", "FITTING_KINDS", "Roles", "cast"]

FITTING_KINDS: Mapping[str, tuple[str, ...]] = {
    "base": ("pretrain", "sft", "rl"),
    "zero": ("rl",),
    "zero_language": ("rl",),
    "cold_start": ("sft",),
    "reason": ("rl",),
    "sft": ("sft",),
    "r1": ("rl",),
    "hacking": ("rl",),
    "student_distilled": ("sft",),
    "student_rl": ("rl",),
    "student_distilled_rl": ("rl",),
    "grpo": ("rl",),
    "ppo": ("rl",),
    "ppo_tuned": ("rl",),
    "evaluate": ("evaluate",),
}
"""The kinds of stage that can play each part."""
COMPARED = frozenset({"grpo", "ppo", "ppo_tuned"})
"""The parts of the comparison of GRPO and PPO, which stands beside the pipeline."""


class Roles(Component):
    """The parts of the R1 pipeline. A part without a stage goes to the stage of the same name, if its kind fits;
    a part that nobody plays is left out of the report and its phenomena are `not measured`."""

    base: str | None = None
    """The model everything starts from: a stage, a path, a hub id or `micro`; null is what `zero` starts from."""
    zero: str | None = None
    """Pure RL from the base (R1-Zero)."""
    zero_language: str | None = None
    """The same with the language reward: the ablation (R1 v2, B.6)."""
    cold_start: str | None = None
    """SFT on cold-start data (Dev1)."""
    reason: str | None = None
    """RL 1, on reasoning (Dev2)."""
    sft: str | None = None
    """SFT of the base on rejection-sampled and general examples (Dev3)."""
    r1: str | None = None
    """RL 2, on everything (R1)."""
    hacking: str | None = None
    """RL 2 with preference rewards from step 0: the check for reward hacking (R1 v2, B.5)."""
    student_distilled: str | None = None
    """The student after SFT on the teacher's answers."""
    student_rl: str | None = None
    """The same student after RL alone (R1 v1, table 6)."""
    student_distilled_rl: str | None = None
    """RL after distillation."""
    grpo: str | None = Field(None, exclude_if=lambda value: value is None)
    """RL by GRPO at as many samples as `ppo` (R1 v2, A.3)."""
    ppo: str | None = Field(None, exclude_if=lambda value: value is None)
    """The same by PPO with the usual lambda, 0.95."""
    ppo_tuned: str | None = Field(None, exclude_if=lambda value: value is None)
    """The same by PPO with lambda 1."""
    evaluate: tuple[str, ...] = ()
    """Evaluate stages whose benchmarks are read; an empty list takes all of the recipe."""

    def named(self) -> Iterator[tuple[str, str]]:
        """(role, stage) for every role the recipe gives, the base left out, which need not be a stage."""
        for role, value in self.model_dump(exclude={"base"}, exclude_none=True).items():
            for stage in (value,) if isinstance(value, str) else value:
                yield role, stage


def cast(roles: Roles, stages: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[str, ...]]:
    """Who plays each role, of stages given by name as their configurations; roles that nobody plays are absent.

    `base` may be a reference from outside; all others name stages.
    """
    found: dict[str, tuple[str, ...]] = {}
    for role, stage in roles.named():
        found[role] = (*found.get(role, ()), stage)
    for role, kinds in FITTING_KINDS.items():
        if role not in ("base", "evaluate", *found) and role in stages and stages[role]["kind"] in kinds:
            found[role] = (role,)
    evaluations = tuple(name for name, config in stages.items() if config["kind"] == "evaluate")
    if "evaluate" not in found and evaluations:
        found["evaluate"] = evaluations
    base = roles.base
    if base is None and "zero" in found:
        base = str(stages[found["zero"][0]]["model"])
    return found if base is None else {"base": (base,), **found}
