"""What a stage uses under `--smoke`: a tiny random model of the same architecture and a few problems that need no
download, so that any recipe can be tried on any machine."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from transformers import AutoTokenizer

from ponder.errors import ModelError
from ponder.files import EMBEDDED, EMBEDDED_BASE, read_json
from ponder.policy import Policy, random_policy, shrink
from ponder.recipe.architectures import known_architecture
from ponder.recipe.examples import MicroExamples, StageExamples
from ponder.recipe.problems import HeldOut, MicroProblems, ProblemSource
from ponder.recipe.stages import RlStage, SftStage
from ponder.records import Group, LabelledResponse, PreferencePair, Route
from ponder.task import Loaded, load_problems

__all__ = [
    "SMOKE_PROBLEMS",
    "SMOKE_STEPS",
    "smoke_config",
    "smoke_groups",
    "smoke_policy",
    "smoke_preferences",
    "smoke_routes",
    "smoke_sft",
]

SMOKE_STEPS = 2
SMOKE_PROBLEMS = 4
_EXAMPLES = MicroExamples(tasks=("equation", "science"), count=4 * SMOKE_PROBLEMS)


def smoke_config(config: RlStage, stages: Collection[str]) -> RlStage:
    """The stage with few, small groups, held-out problems that need no download, all rewards as they are paid in the
    end, and of its reward models those that `stages` of the recipe made."""
    held_out = config.held_out and _held_out(config.held_out, None)
    return config.model_copy(
        update={
            "steps": SMOKE_STEPS,
            "problems": tuple(source.model_copy(update={"from_step": 0}) for source in _sources(config.problems)),
            "held_out": held_out,
            "rewards": config.reward_weights(config.steps),
            "reward_schedule": {},
            "reward_models": {route: name for route, name in config.reward_models.items() if name in stages},
            "problems_per_step": min(config.problems_per_step, SMOKE_PROBLEMS),
            "group_size": min(config.group_size, 4),
            "updates_per_rollout": min(config.updates_per_rollout, SMOKE_STEPS),
            "sampling": config.sampling.model_copy(update={"max_tokens": 16, "length_schedule": ()}),
        }
    )


def smoke_sft(config: SftStage) -> SftStage:
    """The stage with what the sample stages before it made, and a few short examples of the embedded world in place of
    all other sources, which may be far away."""
    made = tuple(source for source in config.examples if isinstance(source, StageExamples))
    others = () if len(made) == len(config.examples) else (_EXAMPLES,)
    return config.model_copy(
        update={
            "steps": SMOKE_STEPS,
            "examples": (*made, *others),
            "held_out": config.held_out and _held_out(config.held_out, 16),
            "batch_size": min(config.batch_size, SMOKE_PROBLEMS),
            "max_tokens": None,
        }
    )


def _held_out(held_out: HeldOut, max_tokens: int | None) -> HeldOut:
    problems = _sources(held_out.problems)
    return held_out.model_copy(
        update={"samples": 2, "samples_during": 2, "problems": problems, "max_tokens": max_tokens}
    )


def smoke_policy(source: str, template: str | None, seed: int) -> Policy:
    """A tiny random policy shaped like the model `source`, with the embedded tokenizer."""
    folder = EMBEDDED.get(source, Path(source))
    config_file = folder / "config.json"
    architecture = read_json(config_file) if config_file.is_file() else known_architecture(source)
    if architecture is None:
        raise ModelError(
            f"The architecture of {source!r} is not known without downloading it, so it cannot be tried with --smoke. "
            f"Download the model's config.json into a folder and name that, or run without --smoke."
        )
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_BASE)
    return random_policy(shrink(architecture), tokenizer, template or "r1-zero", seed, "fp32", "cpu")


def smoke_preferences(count: int, *, pairs: bool) -> tuple[PreferencePair, ...] | tuple[LabelledResponse, ...]:
    """Made-up pairs or labels on problems of the embedded world."""
    problems = load_problems((MicroProblems(count=count),)).problems
    if pairs:
        return tuple(
            PreferencePair(id=one.id, messages=one.messages, chosen="It is 7.", rejected="No.") for one in problems
        )
    return tuple(
        LabelledResponse(id=one.id, messages=one.messages, response=f"Number {i}.", safe=i % 2 == 0)
        for i, one in enumerate(problems)
    )


def _sources(sources: tuple[ProblemSource, ...]) -> tuple[ProblemSource, ...]:
    """The embedded world in place of what may be far away; its own problems stay as they are."""
    if all(isinstance(source, MicroProblems) for source in sources):
        return sources
    return (MicroProblems(count=64),)


def smoke_routes(loaded: Loaded, routes: Collection[Route]) -> Loaded:
    """The problems, of which every second one is for the reward models, so that these are tried, too."""
    given = ["reasoning", *routes]
    problems = tuple(replace(one, route=given[i % len(given)]) for i, one in enumerate(loaded.problems))
    return replace(loaded, problems=problems)


def smoke_groups(groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """The groups with rewards that differ: a random model earns nothing, and then no update would be tried."""
    return tuple(
        Group(rollouts=tuple(replace(rollout, reward=float(i)) for i, rollout in enumerate(group.rollouts)))
        for group in groups
    )
