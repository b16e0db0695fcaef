"""Everything that can be set, one frozen class per component, and the reading of recipe files. No torch."""

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
