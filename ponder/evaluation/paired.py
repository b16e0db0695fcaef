"""Every two models on every benchmark they share: difference of pass@1 on the same problems, and whether it is chance.

    scores by benchmark and model -> Paired, and `evaluation/paired.json`

Paired means problem by problem with the same seeds, so that hard problems cancel out. A difference is called
significant where its 95 % interval leaves out 0 and the paired t-test agrees (p < 0.05); R1's tables mark p < 0.01,
which `p` allows, too. No correction for many comparisons is made.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from ponder.errors import RunFolderError
from ponder.evaluation.estimate import paired_difference, paired_p_value
from ponder.evaluation.scores import Scores
from ponder.files import read_json, write_json
from ponder.seeds import derive_seed

__all__ = ["PAIRED", "SIGNIFICANT_BELOW", "Paired", "compare_models", "read_paired", "write_paired"]

PAIRED = "paired.json"
"""The file in a stage's `evaluation/`."""
SIGNIFICANT_BELOW = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """`difference` is pass@1 of `second` less that of `first`. Example: Paired(benchmark="micro", first="base",
    second="zero", problems=600, difference=0.36, interval=(0.33, 0.39), p=1e-40, significant=True)."""

    benchmark: str
    first: str
    second: str
    problems: int
    difference: float
    interval: tuple[float, float]
    p: float
    significant: bool

    def to_json(self) -> dict[str, Any]:
        """The numbers under their public names."""
        return {
            "benchmark": self.benchmark,
            "first": self.first,
            "second": self.second,
            "problems": self.problems,
            "difference": self.difference,
            "interval": list(self.interval),
            "p": self.p,
            "significant": self.significant,
        }


def compare_models(scores: Mapping[str, Mapping[str, Scores]], seed: int = 0) -> list[Paired]:
    """All pairs, from scores by benchmark and, in it, by model; problems without a gold are left out, and a benchmark
    with none makes no pairs. Two models that were asked different problems are no pair, whatever these are called; that
    is warned of."""
    found = []
    for benchmark, by_model in scores.items():
        for (first, a), (second, b) in combinations(by_model.items(), 2):
            shared = [problem for problem in a.accuracy if problem in b.accuracy]
            if not shared:
                continue
            if not _same_problems(a, b):
                warnings.warn(
                    f"{first!r} and {second!r} are not compared on {benchmark!r}: they were measured on different "
                    "problems of the same names. Measure both anew on one version of the data.",
                    stacklevel=2,
                )
                continue
            one, other = [a.accuracy[problem] for problem in shared], [b.accuracy[problem] for problem in shared]
            difference = paired_difference(one, other, seed=derive_seed(seed, benchmark, first, second))
            p = paired_p_value(one, other)
            low, high = difference.interval
            found.append(
                Paired(
                    benchmark=benchmark,
                    first=first,
                    second=second,
                    problems=len(shared),
                    difference=difference.mean,
                    interval=difference.interval,
                    p=p,
                    significant=not low <= 0 <= high and p < SIGNIFICANT_BELOW,
                )
            )
    return found


def _same_problems(a: Scores, b: Scores) -> bool:
    digests = {one.provenance.get("problems_sha256") for one in (a, b)} - {None}  # files of an older ponder have none
    return len(digests) < 2


def write_paired(folder: Path, pairs: list[Paired]) -> None:
    """Write the file into a stage's folder."""
    write_json(folder / "evaluation" / PAIRED, [pair.to_json() for pair in pairs])


def read_paired(folder: Path) -> list[Paired]:
    """The pairs of a stage's folder, none where there is no such file; RunFolderError if it is damaged."""
    path = folder / "evaluation" / PAIRED
    if not path.exists():
        return []
    try:
        return [Paired(**one | {"interval": tuple(one["interval"])}) for one in read_json(path)]
    except (KeyError, TypeError) as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged: expected comparisons of models, got trouble with {error}. Remove it and run "
            "the stage again with --redo."
        ) from None
