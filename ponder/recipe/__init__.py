"""Everything that can be set, one frozen class per component, and the reading of recipe files. No torch.

A name is loaded when it is asked for first: all classes together take as long to load as everything else in a
verifier's worker, which needs `own` alone.
"""

from typing import TYPE_CHECKING

from ponder.lazy import lazy

if TYPE_CHECKING:
    from ponder.recipe.critic import Critic
    from ponder.recipe.endpoint import ByEndpoint, ByModel, ByRule, Endpoint, Helper
    from ponder.recipe.examples import (
        ExampleColumns,
        ExampleSource,
        FileExamples,
        HubExamples,
        MicroExamples,
        StageExamples,
    )
    from ponder.recipe.load import load_recipe
    from ponder.recipe.objective import PRESETS, Objective
    from ponder.recipe.problems import (
        FileProblems,
        GymProblems,
        HeldOut,
        HubProblems,
        MicroProblems,
        ProblemColumns,
        ProblemSource,
    )
    from ponder.recipe.recipe import SCHEMA_VERSION, Recipe
    from ponder.recipe.reward_model import (
        FilePreferences,
        HubPreferences,
        MicroPreferences,
        PreferenceColumns,
        PreferenceSource,
        StagePreferences,
    )
    from ponder.recipe.rollout import EngineConfig, LengthStep, Sampling
    from ponder.recipe.sample import Keep, PairRules, Readable, Rewrite
    from ponder.recipe.sft import SFT_PRESETS, Lora
    from ponder.recipe.shipped import find_recipe, shipped_recipes
    from ponder.recipe.stages import (
        CorpusSource,
        EvaluateStage,
        PretrainStage,
        ReportStage,
        RewardModelStage,
        RlStage,
        SampleStage,
        SftStage,
        Stage,
        WeightStep,
    )
    from ponder.recipe.training import BatchLimits, Optimizer, Precision

__all__ = [
    "PRESETS",
    "SCHEMA_VERSION",
    "SFT_PRESETS",
    "BatchLimits",
    "ByEndpoint",
    "ByModel",
    "ByRule",
    "CorpusSource",
    "Critic",
    "Endpoint",
    "EngineConfig",
    "EvaluateStage",
    "ExampleColumns",
    "ExampleSource",
    "FileExamples",
    "FilePreferences",
    "FileProblems",
    "GymProblems",
    "HeldOut",
    "Helper",
    "HubExamples",
    "HubPreferences",
    "HubProblems",
    "Keep",
    "LengthStep",
    "Lora",
    "MicroExamples",
    "MicroPreferences",
    "MicroProblems",
    "Objective",
    "Optimizer",
    "PairRules",
    "Precision",
    "PreferenceColumns",
    "PreferenceSource",
    "PretrainStage",
    "ProblemColumns",
    "ProblemSource",
    "Readable",
    "Recipe",
    "ReportStage",
    "RewardModelStage",
    "Rewrite",
    "RlStage",
    "SampleStage",
    "Sampling",
    "SftStage",
    "Stage",
    "StageExamples",
    "StagePreferences",
    "WeightStep",
    "find_recipe",
    "load_recipe",
    "shipped_recipes",
]

_HOMES = {
    "critic": ("Critic",),
    "endpoint": ("ByEndpoint", "ByModel", "ByRule", "Endpoint", "Helper"),
    "examples": ("ExampleColumns", "ExampleSource", "FileExamples", "HubExamples", "MicroExamples", "StageExamples"),
    "load": ("load_recipe",),
    "objective": ("PRESETS", "Objective"),
    "problems": (
        "FileProblems",
        "GymProblems",
        "HeldOut",
        "HubProblems",
        "MicroProblems",
        "ProblemColumns",
        "ProblemSource",
    ),
    "recipe": ("SCHEMA_VERSION", "Recipe"),
    "reward_model": (
        "FilePreferences",
        "HubPreferences",
        "MicroPreferences",
        "PreferenceColumns",
        "PreferenceSource",
        "StagePreferences",
    ),
    "rollout": ("EngineConfig", "LengthStep", "Sampling"),
    "sample": ("Keep", "PairRules", "Readable", "Rewrite"),
    "sft": ("SFT_PRESETS", "Lora"),
    "shipped": ("find_recipe", "shipped_recipes"),
    "stages": (
        "CorpusSource",
        "EvaluateStage",
        "PretrainStage",
        "ReportStage",
        "RewardModelStage",
        "RlStage",
        "SampleStage",
        "SftStage",
        "Stage",
        "WeightStep",
    ),
    "training": ("BatchLimits", "Optimizer", "Precision"),
}
"""File -> the names of it that are asked for here."""

if not TYPE_CHECKING:
    __getattr__ = lazy(__name__, _HOMES)
