"""Which problem comes when: a pure function of the seed and the index, so that resuming needs no state.

The stream of indices 0, 1, 2, ... is dealt out to the sources evenly and in proportion to their weights: after any
number of them each source has had its share, to within one per source. Within a source every problem comes once per
pass, in an order drawn anew for each pass from (seed, source, pass).
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import floor
from random import Random
from types import MappingProxyType

from ponder.records import Problem
from ponder.seeds import derive_seed
from ponder.task.load import Loaded

__all__ = ["entering_problem_at", "place_at", "problem_at", "problems_for_step"]

_NONE: Mapping[str, int] = MappingProxyType({})


def problem_at(loaded: Loaded, seed: int, index: int) -> Problem:
    """The problem at place `index`, from 0, of the endless stream that `seed` makes of the sources."""
    source, place = place_at(loaded.weights, loaded.sizes, seed, index)
    return loaded.problems[loaded.members(source)[place]]


def place_at(weights: Mapping[str, float], sizes: Mapping[str, int], seed: int, index: int) -> tuple[str, int]:
    """Place `index` of the stream as a source and one of its `sizes[source]` members, for anything that comes in
    weighted sources."""
    assert index >= 0, index
    source, place = _dealt(weights, seed, index)
    order = _order(seed, source, place // sizes[source], sizes[source])
    return source, order[place % sizes[source]]


def problems_for_step(loaded: Loaded, seed: int, step: int, count: int) -> tuple[Problem, ...]:
    """The `count` problems of step `step`, from 0: places step * count and on."""
    return tuple(problem_at(loaded, seed, step * count + i) for i in range(count))


def _dealt(weights: Mapping[str, float], seed: int, index: int) -> tuple[str, int]:
    """The source that place `index` belongs to, and how many places it had before.

    The first source takes those places at which its share of the places so far reaches the next whole number; what is
    left is a stream again, for the sources after it.
    """
    left = sum(map(Fraction, weights.values()))
    *first, last = weights
    for source in first:
        share = Fraction(weights[source]) / left
        offset = Fraction(derive_seed("deal", seed, source), 2**63)
        before, after = floor(index * share + offset), floor((index + 1) * share + offset)
        if after > before:
            return source, before
        index -= before
        left -= Fraction(weights[source])
    return last, index


@lru_cache(maxsize=64)
def _order(seed: int, source: str, number: int, size: int) -> tuple[int, ...]:
    order = list(range(size))
    Random(derive_seed("order", seed, source, number)).shuffle(order)
    return tuple(order)


def entering_problem_at(
    loaded: Loaded, seed: int, index: int, starts: Mapping[str, int], ends: Mapping[str, int] = _NONE
) -> Problem:
    """As `problem_at`, where a source named in `starts` is drawn from place `starts[source]` on, and one named in
    `ends` up to place `ends[source]`; the others go on in their order. At every place at least one source is there."""
    bounds = sorted({0, *starts.values(), *ends.values()})
    began = max(bound for bound in bounds if bound <= index)
    source, place = _dealt(_active(loaded, starts, ends, began), seed, index - began)
    for first, end in pairwise(bound for bound in bounds if bound <= began):
        if source in (there := _active(loaded, starts, ends, first)):
            place += _places(there, seed, source, end - first)
    members = loaded.members(source)
    order = _order(seed, source, place // len(members), len(members))
    return loaded.problems[members[order[place % len(members)]]]


def _active(loaded: Loaded, starts: Mapping[str, int], ends: Mapping[str, int], place: int) -> dict[str, float]:
    """The weights of the sources that are there at `place` of the stream."""
    return {
        name: weight
        for name, weight in loaded.weights.items()
        if starts.get(name, 0) <= place and (name not in ends or place < ends[name])
    }


def _places(weights: Mapping[str, float], seed: int, source: str, count: int) -> int:
    """How many of the first `count` places `_dealt` gives to `source`."""
    left = sum(map(Fraction, weights.values()))
    *first, _ = weights
    for name in first:
        taken = floor(count * Fraction(weights[name]) / left + Fraction(derive_seed("deal", seed, name), 2**63))
        if name == source:
            return taken
        count -= taken
        left -= Fraction(weights[name])
    return count
