"""Problems that the model solves sometimes: drawn by the solve rates measured so far.

    draw(count) -> problems;  learn(what their groups showed);  state() and restore(state) for a checkpoint

First the domain, dealt out so that after any number of draws each has had its share to within one; then the next
problem of the domain, in an order drawn anew for each pass, whose solve rate lies in the band. All of it follows from
the seed and from what was learnt, so that a restored state goes on as the one that was saved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from ponder.recipe.sampler import Sampler
from ponder.records import Problem
from ponder.seeds import derive_seed
from ponder.task.load import Loaded

__all__ = ["SolveRates", "Tried"]

_KIND_WEIGHT = 4.0
"""Completions that the rate of a problem's kind counts as, beside its own."""
_FADING_OWN, _FADING = 0.5, 0.9
"""What is left of a problem's own counts when it is tried again, and of all other counts after each rollout."""
_MOST_PASSED_OVER = 64
"""Problems passed over in one draw before the nearest of them is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a group showed: how many of its judged completions were right, and whether it taught anything."""

    problem: Problem
    right: int
    judged: int
    useful: bool


class SolveRates:
    """See above; problems without a gold are of no known rate and always taken."""

    def __init__(self, loaded: Loaded, sampler: Sampler, seed: int) -> None:
        self._sampler, self._seed = sampler, seed
        self._members: dict[str, list[Problem]] = {}
        self._base: dict[str, float] = {}
        for source, weight in loaded.weights.items():
            for place in loaded.members(source):
                problem = loaded.problems[place]
                self._members.setdefault(problem.domain, []).append(problem)
                share = weight / loaded.sizes[source]
                self._base[problem.domain] = self._base.get(problem.domain, 0.0) + share
        self._places = dict.fromkeys(self._members, 0)
        self._owed = dict.fromkeys(self._members, 0.0)
        self._problems: dict[str, list[float]] = {}  # tried, right
        self._kinds: dict[str, list[float]] = {}  # tried, right
        self._domains: dict[str, list[float]] = {}  # groups, useful ones
        for problem in loaded.problems:
            if problem.id in loaded.measured:
                judged, right = loaded.measured[problem.id]
                _add(self._problems, problem.id, judged, right)
                _add(self._kinds, _kind(problem), judged, right)

    def draw(self, count: int) -> list[Problem]:
        """The next problems, no two the same as long as there are others."""
        shares, drawn = self.shares(), dict[str, Problem]()
        found = []
        for _ in range(count):
            for domain, share in shares.items():
                self._owed[domain] += share
            domain = max(self._owed, key=lambda one: self._owed[one])
            self._owed[domain] -= 1
            problem = self._next(domain, drawn)
            drawn[problem.id] = problem
            found.append(problem)
        return found

    def learn(self, tried: Sequence[Tried]) -> None:
        """What the groups of a rollout showed."""
        for counts in (*self._kinds.values(), *self._domains.values()):
            counts[:] = [_FADING * count for count in counts]
        for one in tried:
            _add(self._domains, one.problem.domain, 1.0, float(one.useful))
            if one.problem.gold is None or not one.judged:
                continue
            _add(self._kinds, _kind(one.problem), one.judged, one.right)
            if one.problem.id in self._problems:
                self._problems[one.problem.id][:] = [_FADING_OWN * n for n in self._problems[one.problem.id]]
            _add(self._problems, one.problem.id, one.judged, one.right)

    def rate(self, problem: Problem) -> float | None:
        """The solve rate that a problem is taken to have; None where nothing is known of it."""
        tried, right = self._problems.get(problem.id, (0.0, 0.0))
        of_kind = self._kinds.get(_kind(problem))
        if of_kind is not None and of_kind[0] > 0:
            tried, right = tried + _KIND_WEIGHT, right + _KIND_WEIGHT * of_kind[1] / of_kind[0]
        return right / tried if tried else None

    def shares(self) -> dict[str, float]:
        """The share of each domain in what is drawn now."""
        whole = sum(self._base.values())
        if self._sampler.domain_share is None:
            return {domain: base / whole for domain, base in self._base.items()}
        weights = {domain: base * self._teaches(domain) for domain, base in self._base.items()}
        return _bounded(weights, *self._sampler.domain_share)

    def state(self) -> dict[str, Any]:
        """All that was learnt, as JSON."""
        return {
            "places": self._places,
            "owed": self._owed,
            "problems": self._problems,
            "kinds": self._kinds,
            "domains": self._domains,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that was saved."""
        self._places, self._owed = dict(state["places"]), dict(state["owed"])
        self._problems, self._kinds, self._domains = (
            {name: list(counts) for name, counts in state[key].items()} for key in ("problems", "kinds", "domains")
        )

    def _teaches(self, domain: str) -> float:
        """The share of a domain's groups that taught something of late; a half before anything is known."""
        groups, useful = self._domains.get(domain, (0.0, 0.0))
        return (useful + 1) / (groups + 2)

    def _next(self, domain: str, drawn: Mapping[str, Problem]) -> Problem:
        members, (least, most) = self._members[domain], self._sampler.keep
        passed: list[tuple[float, Problem]] = []
        for _ in range(min(_MOST_PASSED_OVER, len(members))):
            number, place = divmod(self._places[domain], len(members))
            self._places[domain] += 1
            problem = members[_order(self._seed, domain, number, len(members))[place]]
            if problem.id in drawn:
                continue
            rate = self.rate(problem)
            if rate is None or least <= rate <= most:
                return problem
            passed.append((abs(rate - (least + most) / 2), problem))
        return min(passed, key=lambda one: one[0])[1] if passed else members[self._places[domain] % len(members)]


@lru_cache(maxsize=64)
def _order(seed: int, domain: str, number: int, size: int) -> tuple[int, ...]:
    order = list(range(size))
    Random(derive_seed("solve rate", seed, domain, number)).shuffle(order)
    return tuple(order)


def _kind(problem: Problem) -> str:
    return f"{problem.domain} {problem.difficulty} {problem.language}"


def _add(counts: dict[str, list[float]], name: str, first: float, second: float) -> None:
    known = counts.setdefault(name, [0.0, 0.0])
    known[:] = [known[0] + first, known[1] + second]


def _bounded(weights: Mapping[str, float], least: float, most: float) -> dict[str, float]:
    """Shares in proportion to the weights, none below `least` or above `most`, as far as that many can be."""
    least, most = min(least, 1 / len(weights)), max(most, 1 / len(weights))
    fixed: dict[str, float] = {}
    while True:
        free = {name: weight for name, weight in weights.items() if name not in fixed}
        left, whole = 1 - sum(fixed.values()), sum(free.values())
        shares = {name: left * weight / whole for name, weight in free.items()}
        low = {name: least for name, share in shares.items() if share < least}
        high = {name: most for name, share in shares.items() if share > most}
        # What lacks most decides, so that fixing one side never breaks the other.
        lacks = sum(least - shares[name] for name in low)
        exceeds = sum(shares[name] - most for name in high)
        fixing = low if lacks >= exceeds else high
        if not fixing:
            return {name: fixed.get(name, shares.get(name, 0.0)) for name in weights}
        fixed |= fixing
        if len(fixed) == len(weights):
            return {name: fixed[name] for name in weights}
