"""Which problems the rollouts of an `rl` stage are of: all in turn, or by the solve rates measured so far.

    next(step, count) -> problems;  refill(step, count) -> further ones;  learn(groups), where they follow the model

Without a sampler all of it is a function of the seed and the step; with one, its rates are the state that a checkpoint
keeps. Sources enter and leave at the beginning of a rollout.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.recipe.stages import RlStage
from ponder.records import Group, Problem
from ponder.rollout import Refill
from ponder.seeds import derive_seed
from ponder.task import Loaded, entering_problem_at, problem_at
from ponder.task.solve_rates import SolveRates, Tried

__all__ = ["Drawing", "refill_places"]


class Drawing:
    """See above; `seed` is the stage's."""

    def __init__(self, loaded: Loaded, config: RlStage, seed: int) -> None:
        self._loaded, self._config, self._seed = loaded, config, seed
        self._starts, self._ends = self._places(loaded.from_steps), self._places(loaded.until_steps)
        self._rates: SolveRates | None = None
        if config.sampler is not None:
            self._rates = SolveRates(loaded, config.sampler, derive_seed(seed, "sampler"))

    def next(self, step: int, count: int) -> list[Problem]:
        """The problems of the rollout that begins after `step` updates."""
        if self._rates is not None:
            return self._rates.draw(count)
        seed, first = derive_seed(self._seed, "problems"), step * self._config.problems_per_step
        return [
            entering_problem_at(self._loaded, seed, place, self._starts, self._ends)
            for place in range(first, first + count)
        ]

    def refill(self, step: int, count: int) -> Refill:
        """Further problems for groups without a signal, from a stream of their own."""
        seed, entered = derive_seed(self._seed, "refill"), step * self._config.problems_per_step
        places = refill_places(self._config.objective.refill_budget, entered, count)
        there = [
            name
            for name in self._loaded.sizes
            if self._starts.get(name, 0) <= entered and (name not in self._ends or entered < self._ends[name])
        ]
        problems = self._loaded.only(there) if self._starts or self._ends else self._loaded
        return Refill(budget=len(places), problem=lambda i: problem_at(problems, seed, places[i]))

    def learn(self, groups: Sequence[Group]) -> None:
        """What a rollout showed of its problems."""
        if self._rates is not None:
            self._rates.learn([_tried(group) for group in groups])

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep."""
        return {} if self._rates is None else {"sampler": self._rates.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        if self._rates is not None:
            self._rates.restore(state["sampler"])

    def _places(self, steps: Mapping[str, int]) -> dict[str, int]:
        """Steps as places of problems at the beginning of a rollout."""
        updates, each = self._config.updates_per_rollout, self._config.problems_per_step
        return {name: -(-step // updates) * updates * each for name, step in steps.items()}


def refill_places(budget: float, before: int, count: int) -> range:
    """Where the further problems of a rollout of `count` problems stand in their stream, `before` problems having been
    sampled before it. `budget` is the most of them as a multiple of `count`; no two rollouts share a place."""
    first = before * max(1, math.ceil(budget))
    return range(first, first + round(budget * count))


def _tried(group: Group) -> Tried:
    """What a group shows of its problem's solve rate."""
    right = sum(rollout.verdict.outcome == "right" for rollout in group.told)
    return Tried(problem=group.problem, right=right, judged=len(group.told), useful=group.useful)
