"""What every stage has."""

from collections.abc import Mapping
from typing import Literal

from ponder.recipe.base import Component
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.own import OwnUse, is_own
from ponder.recipe.problems import ProblemSource, StageProblems, own_problems

__all__ = ["StageBase", "TemplateName"]


TemplateName = Literal["r1-zero", "r1", "plain"]
"""The built-in forms of prompts and responses."""


class StageBase(Component):
    after: tuple[str, ...] = ()
    """Stages that must be done first although nothing of theirs is read."""
    seed: int | None = None
    """Seed of this stage; null derives one from the recipe's seed and the stage's name."""

    def inputs(self) -> tuple[str, ...]:
        """References that may name other stages: the edges that point at this stage."""
        return (*self.writers(), *self.scorers(), *self.takes(), *self.after)

    def writers(self) -> tuple[str, ...]:
        """References to models that write: a stage, a path, a hub id or `micro`."""
        return ()

    def scorers(self) -> tuple[str, ...]:
        """References to reward models: a stage of that kind, or a path."""
        return ()

    def takes(self) -> Mapping[str, str]:
        """The `sample` stages whose output is read, and what that must be, such as `problems` or `pairs`."""
        return {source.stage: "problems" for source in self.problem_sources() if isinstance(source, StageProblems)}

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The servers that are asked."""
        return ()

    def endpoint_logs(self) -> Mapping[str, tuple[str, ...]]:
        """The logs of requests to endpoints, each with the keys of this stage that decide the replies."""
        return {}

    def problem_sources(self) -> tuple[ProblemSource, ...]:
        """All problems, those that are held out too."""
        return ()

    def text_folders(self) -> tuple[str, ...]:
        """The folders of texts that a model may search."""
        return ()

    def rule_files(self) -> tuple[str, ...]:
        """Files of keyword rules."""
        return ()

    def reward_names(self) -> tuple[str, ...]:
        """The named rewards that are computed."""
        return ()

    def own_uses(self) -> tuple[OwnUse, ...]:
        """The functions of the user's own that are called, and what for."""
        names = dict.fromkeys((*self.reward_names(), *self.metric_names()))
        rewards = [OwnUse(role="reward", function=name) for name in names if is_own(name)]
        return (*rewards, *own_problems(self.problem_sources()))

    def metric_names(self) -> tuple[str, ...]:
        """The measures of the user's own that are taken of held-out completions."""
        return ()

    def benchmark_names(self) -> tuple[str, ...]:
        """The benchmarks that are read, by name or file."""
        return ()

    def lengths(self) -> tuple[str, ...]:
        """The keys that say how long is trained: where only these rise, a run goes on after its end."""
        return ()

    def products(self) -> tuple[str, ...]:
        """The files and folders in the stage's folder that others read once it is done."""
        return ("model",)

    def reads(self) -> str:
        """What the stage starts from, for people."""
        return ", ".join((*self.writers(), *self.scorers()))
