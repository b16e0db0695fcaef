"""Parts of ponder, before and after a change, in one process, turn about: what the table "Parts" of the README holds.

    python benchmarks/parts.py [name ...] [--rounds N]

A part is two functions that do the same work: as it was (kept here) and as it is. They take turns, the first turn of
each does not count, and the medians of the processor's time are printed with their ratio. Where something other than
time is compared, the functions return it. Names: see `PARTS`.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from ponder.recipe.rollout import Sampling
from ponder.rollout.sampler import _draw, sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The same work as it was and as it is. `unit` is that of what the functions return; None: the time they take."""

    title: str
    before: Callable[[], float | None]
    after: Callable[[], float | None]
    unit: str | None = None


def top_p() -> list[Part]:
    """One sampling step of 16 rows over a vocabulary of 152k tokens; logits as peaked as a language model's, and flat
    ones, whose nucleus holds most of the vocabulary."""
    vocabulary = 151_936
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(16, dtype=torch.float64, generator=generator)
    parts = []
    for name, spread in (("peaked", 4.0), ("flat", 0.5)):
        logits = torch.randn(16, vocabulary, generator=generator) * spread

        def whole_sort(logits: torch.Tensor = logits) -> None:
            mass = logits.div(0.6)
            mass = mass.sub_(mass.amax(1, keepdim=True)).exp_()
            best = torch.from_numpy(np.sort(mass.numpy(), 1)).flip(1)
            cumulative = best.cumsum(1)
            last = (cumulative < 0.95 * cumulative[:, -1:]).sum(1, keepdim=True)
            mass.masked_fill_(mass < best.gather(1, last), 0)
            _draw(mass, uniform)

        def now(logits: torch.Tensor = logits) -> None:
            sample(logits.clone(), uniform, Sampling(temperature=0.6, top_p=0.95))

        def plain(logits: torch.Tensor = logits) -> None:
            sample(logits.clone(), uniform, Sampling(temperature=0.6))

        parts.append(Part(title=f"top_p 0.95 of 152k tokens, 16 rows, {name}", before=whole_sort, after=now))
        parts.append(Part(title=f"  ... beside sampling without top_p, {name}", before=plain, after=now))

    return parts


PARTS: dict[str, Callable[[], list[Part]]] = {"top_p": top_p}


def measured(work: Callable[[], float | None], unit: str | None) -> float:
    start = time.process_time()
    result = work()
    if unit is None:
        return (time.process_time() - start) * 1000
    assert result is not None
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PARTS, []], help="parts to measure; all of them if none is named")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side that count")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'part':72} {'before':>10} {'after':>10}        before / after")
    for name in options.names or PARTS:
        for part in PARTS[name]():
            rounds = options.rounds if part.unit is None else 1
            turns = [
                (measured(part.before, part.unit), measured(part.after, part.unit))
                for _ in range(rounds + (rounds > 1))
            ]
            before, after = (median(side) for side in zip(*turns[rounds > 1 :], strict=True))
            print(f"{part.title:72} {before:10.4g} {after:10.4g} {part.unit or 'ms':12} {before / after:.2f}")


if __name__ == "__main__":
    main()
