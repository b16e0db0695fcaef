"""Estimators of accuracy and their uncertainty. Plain numbers in and out; no torch, nothing random without a seed.

Legend: P problems, n samples of one problem, c of them right. Problems are the unit of every interval: samples of one
problem resemble each other, so counting each as independent would make intervals far too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
import numpy.typing as npt

from ponder.compute.vote import leading

__all__ = [
    "Difference",
    "bootstrap_interval",
    "consensus",
    "paired_difference",
    "paired_p_value",
    "pass_at_k",
]

_CONFIDENCE = 0.95
_RESAMPLES = 2000
_CONSENSUS_DRAWS = 100
_BLOCK = 1 << 20
_NO_SPREAD = 1e-12
"""Differences of shares that are closer than this are equal up to rounding."""

Values = npt.NDArray[np.float64]


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that k of n samples, drawn without replacement, include one of the c right ones: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of arXiv 2107.03374, eq. 1, in exact whole numbers. With k = 1 it is c / n, R1's pass@1.
    """
    assert 0 <= c <= n and 1 <= k <= n, f"pass@{k} of {c} right among {n}"
    return 1 - comb(n - c, k) / comb(n, k)


def bootstrap_interval(
    values_P: Sequence[float], seed: int = 0, confidence: float = _CONFIDENCE, resamples: int = _RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over problems, from one value per problem.

    Where all values are 0 or all are 1 a bootstrap sees no spread and would claim certainty; there the open side is the
    exact binomial bound for P problems instead (about 3/P away, the "rule of three"). One problem alone says nothing
    about others: (0, 1).
    """
    values = np.asarray(values_P, dtype=np.float64)
    assert values.size > 0, "an interval of no problems"
    if values.size == 1:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    if np.all(values == 0) or np.all(values == 1):
        return _bound(float(values[0]), 0.0, values.size, tail)
    low, high = np.quantile(_resampled_means(values, seed, resamples), [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Second minus first. The difference is beyond chance where 0 lies outside `interval`."""

    mean: float
    interval: tuple[float, float]


def paired_difference(
    first_P: Sequence[float],
    second_P: Sequence[float],
    seed: int = 0,
    confidence: float = _CONFIDENCE,
    resamples: int = _RESAMPLES,
    *,
    accuracies: bool = True,
) -> Difference:
    """Difference of two models on the same problems, one value per problem and model, aligned.

    Resampling the differences keeps a problem's two values together, so hard problems cancel out: the interval is
    narrower than the two single intervals suggest. Where all differences are equal there is no spread to resample:
    `accuracies`, shares of a few completions, then get the bound that P equal problems leave, and (-1, 1) of one
    problem alone; other values, such as tokens, have no bound, and their interval is that one number.
    """
    assert len(first_P) == len(second_P) > 0, f"{len(first_P)} problems against {len(second_P)}"
    differences = np.subtract(second_P, first_P, dtype=np.float64)
    mean, tail = float(differences.mean()), (1 - confidence) / 2
    if accuracies and differences.size == 1:
        return Difference(mean=mean, interval=(-1.0, 1.0))
    if accuracies and np.ptp(differences) < _NO_SPREAD:
        return Difference(mean=mean, interval=_bound(mean, -1.0, differences.size, tail))
    low, high = np.quantile(_resampled_means(differences, seed, resamples), [tail, 1 - tail])
    return Difference(mean=mean, interval=(float(low), float(high)))


def _bound(value: float, least: float, size: int, tail: float) -> tuple[float, float]:
    """Bounds on the mean of what lies between `least` and 1, where each of `size` problems has shown `value`.

    If a share q of all problems shows something else, none of these is among `size` with chance (1 - q)^size, which is
    at least `tail` for q up to the reach below, and they could all lie at one end. For values of 0 or 1 it is the exact
    binomial bound.
    """
    reach = 1 - tail ** (1 / size)
    return value - reach * (value - least), value + reach * (1 - value)


def paired_p_value(first_P: Sequence[float], second_P: Sequence[float]) -> float:
    """Two-sided p of the paired t-test, one value per problem and model, aligned: R1's tables mark differences by a
    t-test (p < 0.01).

    t = mean / (s / sqrt(P)) of the differences, with P - 1 degrees of freedom. Where all differences are equal there is
    no spread to test with, and the sign test stands in: 2^(1 - P) for P equal differences, 1 where they are 0. One
    problem alone says nothing: 1.
    """
    assert len(first_P) == len(second_P) > 0, f"{len(first_P)} problems against {len(second_P)}"
    from mpmath import betainc

    differences = np.subtract(second_P, first_P, dtype=np.float64)
    size = differences.size
    mean, spread = float(differences.mean()), float(differences.std(ddof=1)) if size > 1 else 0.0
    if size == 1 or (spread < _NO_SPREAD and abs(mean) < _NO_SPREAD):
        return 1.0
    if spread < _NO_SPREAD:
        return float(2.0 ** (1 - size))
    t, freedom = mean / (spread / sqrt(size)), size - 1
    return float(betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True))


def _resampled_means(values_P: Values, seed: int, resamples: int) -> Values:
    random = np.random.default_rng(seed)
    size = values_P.size
    block = max(1, _BLOCK // size)  # resamples at a time: memory stays small for any number of problems
    counts = [min(block, resamples - start) for start in range(0, resamples, block)]
    return np.concatenate([values_P[random.integers(0, size, (count, size))].mean(axis=1) for count in counts])


def consensus(clusters_n: Sequence[int | None], right_n: Sequence[bool], k: int, seed: int = 0) -> float:
    """cons@k of one problem: the chance that the most frequent answer among k samples is right.

    Samples without an answer do not vote. A tie counts the share of the tied answers that are right, so the order of
    samples plays no part. With more than k samples it is the mean over 100 random subsets of k.
    """
    n = len(clusters_n)
    assert 1 <= k <= n, f"cons@{k} of {n} samples"
    good = {cluster for cluster, right in zip(clusters_n, right_n, strict=True) if right and cluster is not None}
    if k == n:
        return _vote(clusters_n, good)
    random = np.random.default_rng(seed)
    draws = (random.choice(n, size=k, replace=False) for _ in range(_CONSENSUS_DRAWS))
    return sum(_vote([clusters_n[i] for i in draw], good) for draw in draws) / _CONSENSUS_DRAWS


def _vote(clusters: Sequence[int | None], good: set[int]) -> float:
    leaders = leading(clusters)
    return sum(leader in good for leader in leaders) / len(leaders) if leaders else 0.0
