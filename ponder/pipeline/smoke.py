"""The smoke recipe of a recipe: the same stages, small enough to be tried on any machine without a network.

Two steps and short completions; problems, examples and preferences of the embedded world in place of what may be far
away; tiny random models in place of real ones (`smoke_inputs` makes them); rules in place of endpoints. A random model
is never right, so chance takes part where nothing would be left to learn from: as a reward, and as a judge. What comes
out is a recipe like any other, and stages know nothing of it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.evaluation.benchmark import find_benchmark
from ponder.pipeline.machine import processors
from ponder.recipe.endpoint import ByChance, ByRule
from ponder.recipe.examples import MicroExamples, StageExamples
from ponder.recipe.judges import JUDGES
from ponder.recipe.problems import HeldOut, MicroProblems, ProblemSource, PythonProblems, StageProblems
from ponder.recipe.recipe import Recipe
from ponder.recipe.reward_model import MicroPreferences, StagePreferences
from ponder.recipe.sample import Keep
from ponder.recipe.stages import (
    EvaluateStage,
    PretrainStage,
    ReportStage,
    RewardModelStage,
    RlStage,
    SampleStage,
    SftStage,
    Stage,
)
from ponder.recipe.training import BatchLimits

__all__ = ["TEACHER", "benchmark_file", "model_folder", "smoke_recipe", "tried"]

TEACHER = "micro"
"""What responds in place of an endpoint."""
_STEPS = 2
_FEW = 4
"""Problems of an update and of a measurement, completions of a problem."""
_MAX_TOKENS = 16
_TOKENIZER_DOCUMENTS = 300
_BENCHMARKS = 3
_SOME = 64
"""Problems of a source."""
_PROBLEMS = MicroProblems(count=_SOME)
_HELD_OUT = MicroProblems(count=_SOME, split="test")
_EXAMPLES = MicroExamples(tasks=("equation", "science"), count=16)
_PREFERENCES = {
    "pairwise": MicroPreferences(count=32),
    "pointwise": MicroPreferences(tasks=("unsafe",), count=32),
}
"""Rows of a reward model beside those of sample stages; labels of both kinds, so that there is something to tell."""
_ROUTED: Mapping[str, ProblemSource] = {
    "helpful": MicroProblems(tasks=("greeting", "writing"), count=32, seed=1),
    "safety": MicroProblems(tasks=("unsafe",), count=32, seed=2),
}

Updates = dict[str, Any]

_SHORT: Updates = {"max_tokens": _MAX_TOKENS, "length_schedule": (), "temperature_schedule": ()}


def smoke_recipe(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe to be run under `--smoke`; its models and benchmarks from outside are to be made in `folder`."""
    stages = {name: _smoke(stage, recipe, folder) for name, stage in recipe.stages.items()}
    return recipe.model_copy(update={"stages": stages})


def model_folder(reference: str, folder: Path) -> Path:
    """Where the tiny model is that stands for one from outside."""
    return folder / "models" / (re.sub(r"[^A-Za-z0-9._-]+", "-", reference).strip("-.") or "model")


def benchmark_file(name: str, folder: Path) -> Path:
    """Where the few problems are that stand for a benchmark."""
    return folder / "benchmarks" / f"{find_benchmark(name).name}.yaml"


def tried(names: Sequence[str]) -> tuple[str, ...]:
    """At most three benchmarks, since all become the same few problems; the ways of judging that occur come first."""
    judged = [find_benchmark(name).judge for name in names]
    firsts = [name for i, name in enumerate(names) if judged[i] not in judged[:i]]
    return tuple(dict.fromkeys((*firsts, *names)))[:_BENCHMARKS]


def _smoke(stage: Stage, recipe: Recipe, folder: Path) -> Stage:
    def model(reference: str) -> str:
        return reference if reference in recipe.stages else str(model_folder(reference, folder))

    match stage:
        case PretrainStage():
            updates = _pretrain(stage)
        case RlStage():
            updates = _rl(stage, recipe)
        case SftStage():
            updates = _sft(stage)
        case SampleStage():
            updates = _sample(stage, model)
        case RewardModelStage():
            updates = _reward_model(stage)
        case EvaluateStage():
            updates = _evaluate(stage, model, folder)
        case ReportStage():
            base = stage.roles.base
            updates = {"roles": stage.roles.model_copy(update={"base": base if base is None else model(base)})}
    if not isinstance(stage, ReportStage):
        updates["precision"] = "fp32"
    if isinstance(stage, PretrainStage | RlStage | SftStage | RewardModelStage):
        updates["batch"] = _batch(stage.batch)
    if isinstance(stage, RlStage | SftStage | RewardModelStage):
        updates["model"] = model(stage.model)
    if isinstance(stage, RlStage | SftStage | SampleStage):
        updates["decontaminate"] = ()  # benchmarks may have to be downloaded
    return type(stage).model_validate(stage.model_dump() | updates)


def _batch(batch: BatchLimits) -> BatchLimits:
    """No more ranks than this machine has processors for; fewer share no pass, which they might not divide."""
    ranks = min(batch.ranks, processors()[0])
    return batch.model_copy(update={"ranks": ranks, "context": batch.context if ranks == batch.ranks else 1})


def _pretrain(stage: PretrainStage) -> Updates:
    from ponder.policy.shrink import check_fields, shrink

    check_fields(stage.architecture)
    return {
        "architecture": json.loads(json.dumps(shrink(stage.architecture))),  # as a file would hold it
        "tokens": _STEPS * stage.tokens_per_step,
        "corpus": stage.corpus.model_copy(update={"tokenizer_documents": _TOKENIZER_DOCUMENTS}),
        "held_out": _held_out(stage.held_out),
    }


def _rl(stage: RlStage, recipe: Recipe) -> Updates:
    """All rewards as they are paid in the end, and of the reward models those that the recipe makes."""
    scorers = {route: one for route, one in stage.reward_models.items() if one in recipe.stages}
    rewards = stage.reward_weights(stage.steps) | {"chance": 1.0}
    if not scorers:
        rewards.pop("preference", None)
    for name in stage.judges():
        rewards.pop(name, None)
    near = _near(stage.problems) and scorers == stage.reward_models
    problems = stage.problems if near else (_PROBLEMS, *(_ROUTED[route] for route in scorers))
    return {
        "problems": tuple(
            _taken(source, limit=min(source.limit or _SOME, _SOME), from_step=0, until_step=None) for source in problems
        ),
        "held_out": _held_out(stage.held_out),
        "rewards": rewards,
        "reward_schedule": {},
        "reward_models": scorers,
        **dict.fromkeys(JUDGES),
        "critic": stage.critic and stage.critic.model_copy(update={"model": _within(stage.critic.model, recipe)}),
        "steps": _STEPS,
        "problems_per_step": min(stage.problems_per_step, _FEW),
        "group_size": min(stage.group_size, _FEW),
        "updates_per_rollout": min(stage.updates_per_rollout, _STEPS),
        "sampling": stage.sampling.model_copy(update=_SHORT),
        "stop": None,
    }


def _within(reference: str | None, recipe: Recipe) -> str | None:
    """The reference, if a stage of the recipe makes what it names."""
    return reference if reference in recipe.stages else None


def _sft(stage: SftStage) -> Updates:
    made = tuple(source for source in stage.examples if isinstance(source, StageExamples))
    return {
        "examples": made if len(made) == len(stage.examples) else (*made, _EXAMPLES),
        "steps": _STEPS,
        "held_out": _held_out(stage.held_out),
        "batch_size": min(stage.batch_size, _FEW),
        "max_tokens": None,
    }


_ANY_PAIR: Updates = {"min_difference": 0.0, "length_tolerance": None}


def _sample(stage: SampleStage, model: Callable[[str], str]) -> Updates:
    """Nothing is left out, whatever it is: later stages need something to read."""
    rewrite = stage.rewrite and stage.rewrite.model_copy(
        update={"by": ByRule(), "language": True, "summary": True, "solution": False}
    )
    problems = stage.problems if _near(stage.problems) else (_PROBLEMS,)
    return {
        "model": model(stage.model or TEACHER),
        "endpoint": None,
        "problems": tuple(_taken(source, limit=_FEW) for source in problems),
        "samples": min(stage.samples, 2),
        "sampling": stage.sampling.model_copy(update={"max_tokens": _MAX_TOKENS}),
        "keep": Keep() if stage.output == "problems" else Keep(unfinished=True),
        "judge": ByChance() if stage.output in ("pairs", "labels") else None,
        "rewrite": rewrite,
    } | ({"pairs": stage.pairs.model_copy(update=_ANY_PAIR)} if stage.output == "pairs" else {})


def _reward_model(stage: RewardModelStage) -> Updates:
    made = tuple(source for source in stage.data if isinstance(source, StagePreferences))
    return {
        "data": (*made, _PREFERENCES[stage.loss]),
        "held_out": (),
        "held_out_share": 0.2,
        "epochs": _STEPS,
        "batch_size": 1024,  # all rows, so that an epoch is a step
    }


def _evaluate(stage: EvaluateStage, model: Callable[[str], str], folder: Path) -> Updates:
    models = tuple(map(model, stage.models)) or (model(TEACHER),)
    served = stage.baseline in stage.served
    return {
        "models": models,
        "served": {},
        "baseline_answers": None,
        "benchmarks": tuple(str(benchmark_file(name, folder)) for name in tried(stage.benchmarks)),
        "samples": 2,
        "baseline": models[0] if served else stage.baseline and model(stage.baseline),
        "judge": None,
        "control": None,
    }


def _held_out(held_out: HeldOut | None) -> HeldOut | None:
    if held_out is None:
        return None
    source = held_out.problems[0] if _near(held_out.problems) else _HELD_OUT
    problems = (_taken(source, limit=_FEW),)
    return held_out.model_copy(
        update={"samples": 2, "samples_during": 2, "problems": problems, "max_tokens": _MAX_TOKENS}
    )


def _taken(source: ProblemSource, **updates: Any) -> ProblemSource:
    """The source with these changes; of what a stage measured everything, since a random model is never right."""
    return source.model_copy(update=updates | ({"pass_rate": None} if isinstance(source, StageProblems) else {}))


def _near(sources: Sequence[ProblemSource]) -> bool:
    """Whether all come from the embedded world, the user's own files or a stage, so that they can stay."""
    return all(isinstance(source, MicroProblems | PythonProblems | StageProblems) for source in sources)
