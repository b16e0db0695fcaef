"""The stages of a recipe as a directed graph: who reads whom, in which order they run, and what a reference means."""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from ponder.errors import RecipeError
from ponder.files import EMBEDDED
from ponder.hub import parse_hub_id
from ponder.nearest import did_you_mean
from ponder.recipe.recipe import Recipe
from ponder.recipe.roles import FITTING_KINDS
from ponder.recipe.source import Source
from ponder.recipe.stages import (
    ReportStage,
    RewardModelStage,
    RlStage,
    SampleStage,
    Stage,
)
from ponder.recipe.stages.rl import SCOPES

__all__ = ["check_references", "downstream", "edges", "is_hub_id", "model_references", "order"]

_NO_REFERENCES = ("kind", "source", "name")
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]+")


def is_hub_id(reference: str) -> bool:
    """Whether `reference` has the form `organisation/name` or `organisation/name@revision` of the Hugging Face hub and
    is no folder here."""
    return parse_hub_id(reference) is not None


def edges(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """For each stage the stages that must be done before it, without repeats."""
    return {
        name: tuple(dict.fromkeys(one for one in stage.inputs() if one in recipe.stages))
        for name, stage in recipe.stages.items()
    }


def order(recipe: Recipe) -> tuple[str, ...]:
    """All stages, each after those it needs, in the recipe's order otherwise; raises RecipeError on a cycle."""
    graph = edges(recipe)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise RecipeError(f"the stages wait for each other in a circle: {circle}; let one of them start") from None
    done: list[str] = []
    while len(done) < len(graph):
        done.append(next(name for name in graph if name not in done and all(need in done for need in graph[name])))
    return tuple(done)


def downstream(recipe: Recipe, stage: str) -> tuple[str, ...]:
    """The stages that directly or indirectly wait for `stage`, in running order, itself not included."""
    graph, reached = edges(recipe), {stage}
    for name in order(recipe):
        if reached & set(graph[name]):
            reached.add(name)
    return tuple(name for name in order(recipe) if name in reached - {stage})


def model_references(stage: Stage) -> tuple[str, ...]:
    """The references of a stage that name models: a stage, a path, a hub id or an embedded model."""
    return (*stage.writers(), *stage.scorers())


def check_references(recipe: Recipe, source: Source) -> None:
    """Raise RecipeError for a reference to nothing, a stage named like an outside thing, or a cycle."""
    for name in EMBEDDED.keys() & recipe.stages.keys():
        place = source.origin(("stages", name))
        raise RecipeError(f"{place}: {name!r} names an embedded model; give the stage another name")
    for part, paid in recipe.published.items():
        for number, one in enumerate(paid):
            if one not in recipe.stages:
                raise RecipeError(
                    f"{source.origin(('published', part, number))}: published.{part} names {one!r}, which is not a "
                    f"stage of this recipe{did_you_mean(one, recipe.stages)}"
                )
    for name, stage in recipe.stages.items():
        if not _STAGE_NAME.fullmatch(name):
            raise RecipeError(
                f"{source.origin(('stages', name))}: {name!r} cannot name a stage, since its folder is named after it; "
                "use letters, digits, _ and -"
            )
        if isinstance(stage, ReportStage):
            _check_roles(recipe, source, name, stage)
        models = model_references(stage)
        for reference in stage.inputs():
            if reference in recipe.stages or (reference in models and _names_outside(reference)):
                continue
            expected = "a stage, a path (./...), a hub id (organisation/name), `micro` or `micro-student`"
            expected = expected if reference in models else "a stage of this recipe"
            raise RecipeError(
                f"{source.origin(_place(source, name, reference))}: stage {name!r} refers to {reference!r}, which is "
                f"not {expected}{did_you_mean(reference, recipe.stages)}"
            )
        _check_scorers(recipe, source, name, stage)
        _check_data(recipe, source, name, stage)
    try:
        order(recipe)
    except RecipeError as error:
        raise RecipeError(f"{source.file}: {error}") from None


def _check_scorers(recipe: Recipe, source: Source, name: str, stage: Stage) -> None:
    """Only a reward model can score, and a reward model can do nothing else."""
    scorers = {other for other, one in recipe.stages.items() if isinstance(one, RewardModelStage)}
    scoring, writing = stage.scorers(), stage.writers()
    for reference in dict.fromkeys((*scoring, *writing)):
        if reference not in recipe.stages:
            continue
        if reference in scoring and reference not in scorers:
            fault = f"needs a stage of kind `reward_model`, and {reference!r} is none"
        elif reference in writing and reference in scorers:
            fault = f"needs a model that writes, and {reference!r} is a reward model, which only scores"
        else:
            continue
        place = source.origin(_place(source, name, reference))
        raise RecipeError(f"{place}: stage {name!r} {fault}: name another stage")
    for route, reference in stage.reward_models.items() if isinstance(stage, RlStage) else ():
        scorer = recipe.stages.get(reference)
        if isinstance(scorer, RewardModelStage) and scorer.scored != SCOPES[route]:
            raise RecipeError(
                f"{source.origin(_place(source, name, reference))}: the reward model {reference!r} scores the "
                f"{scorer.scored} ({scorer.loss} loss), but for the route {route!r} of stage {name!r} one is needed "
                f"that scores the {SCOPES[route]}: give it to the other route, or set `scope` in its stage"
            )


def _check_data(recipe: Recipe, source: Source, name: str, stage: Stage) -> None:
    """What is read from another stage must be what that one makes."""
    for reference, output in stage.takes().items():
        maker = recipe.stages[reference]
        made = maker.output if isinstance(maker, SampleStage) else "none"
        if made != output:
            raise RecipeError(
                f"{source.origin(_place(source, name, reference))}: stage {name!r} takes {output} from stage "
                f"{reference!r}, of the kind {maker.kind!r}, which makes {made}: name one of the kind 'sample' with "
                f"`output: {output}`"
            )


def _check_roles(recipe: Recipe, source: Source, name: str, stage: ReportStage) -> None:
    """Every role names a stage of a kind that can play it; the base, which may come from outside, is checked as every
    model reference is."""
    base = stage.roles.base
    given = list(stage.roles.named())
    if base is not None and base in recipe.stages:
        given.append(("base", base))
    for role, player in given:
        kinds = FITTING_KINDS[role]
        fitting = {other: one for other, one in recipe.stages.items() if one.kind in kinds}
        if player not in fitting:
            is_it = f"of kind {recipe.stages[player].kind!r}" if player in recipe.stages else "no stage of this recipe"
            raise RecipeError(
                f"{source.origin(('stages', name, 'roles', role))}: the role {role!r} goes to {player!r}, which is "
                f"{is_it}; expected a stage of kind {' or '.join(map(repr, kinds))}{did_you_mean(player, fitting)}"
            )


def _names_outside(reference: str) -> bool:
    path_like = reference.startswith((".", "/", "~", "$")) or Path(reference).expanduser().is_dir()
    return reference in EMBEDDED or path_like or is_hub_id(reference)


def _place(source: Source, stage: str, reference: str) -> tuple[str | int, ...]:
    """Where in the stage the reference is written."""
    return next(_places(source.data["stages"][stage], ("stages", stage), reference), ("stages", stage))


def _places(value: Any, where: tuple[str | int, ...], reference: str) -> Iterator[tuple[str | int, ...]]:
    if value == reference:
        yield where
    elif isinstance(value, dict):
        for key, child in value.items():
            if key not in _NO_REFERENCES:
                yield from _places(child, (*where, key), reference)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _places(child, (*where, index), reference)
