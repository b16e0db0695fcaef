"""The sampler against exact distributions and against the logits' own softmax."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import assert_close_products

from ponder.recipe.rollout import Sampling
from ponder.rollout.drawing import Drawing
from ponder.rollout.sampler import _truncate, likeliest, sample, sample_rows, tempered, uniforms

_DRAWS = 20_000
_SIGMAS = 4.5
"""A chi-square this many standard deviations above its mean comes by chance less than once in ten thousand."""


def chi_square(counts: np.ndarray, expected: np.ndarray) -> float:
    """Distance of the statistic from its mean, in its standard deviations; rare cells are joined."""
    rare = expected < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum() or 1e-9)
    assert counts[expected < 1e-6].sum() == 0
    kept = expected > 1e-6
    statistic = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    freedom = kept.sum() - 1
    return float((statistic - freedom) / np.sqrt(2 * freedom)) if freedom else 0.0


def stream(count: int, start: int = 0) -> torch.Tensor:
    """One uniform number for each of `count` neighbouring seeds, all at one position."""
    return torch.from_numpy(uniforms(np.arange(start, start + count, dtype=np.uint64), np.full(count, 3)))


def truncated(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """The distribution by its definition, in float64, token by token."""
    probs = np.exp(logits.astype(np.float64) / sampling.temperature)
    probs /= probs.sum()
    order = np.argsort(-probs)
    kept = order[: sampling.top_k or None]
    mass, nucleus = 0.0, []
    for token in kept:
        if mass >= sampling.top_p * probs[kept].sum():
            break
        nucleus.append(token)
        mass += probs[token]
    result = np.zeros_like(probs)
    result[nucleus] = probs[nucleus] / probs[nucleus].sum()
    return result


@pytest.mark.parametrize("size", [3, 64, 65, 200, 1000])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(temperature=2.0),
        Sampling(top_k=2),
        Sampling(top_p=0.7),
        Sampling(temperature=0.8, top_k=10, top_p=0.9),
        Sampling(top_k=5000),
    ],
    ids=str,
)
def test_frequencies_and_logprobs(size: int, sampling: Sampling) -> None:
    logits = np.random.default_rng(size).normal(size=size).astype(np.float32) * 2
    expected = truncated(logits, sampling)
    tokens, logprobs = sample(torch.from_numpy(logits).repeat(_DRAWS, 1), stream(_DRAWS), sampling)
    counts = np.bincount(tokens.numpy(), minlength=size)
    assert chi_square(counts, expected * _DRAWS) < _SIGMAS
    assert_close_products(logprobs, torch.from_numpy(np.log(expected[tokens.numpy()])).float())


def test_greedy_is_the_argmax_with_its_plain_logprob() -> None:
    logits = torch.randn(50, 300)
    tokens, logprobs = sample(logits.clone(), torch.rand(50, dtype=torch.float64), Sampling(temperature=0))
    assert torch.equal(tokens, logits.argmax(1))
    torch.testing.assert_close(logprobs, logits.log_softmax(1).amax(1))


@settings(max_examples=200, deadline=None)
@given(
    masses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 1e-30, 1e-12, 1e-3, 1.0, 0.1, 7.0]), min_size=1, max_size=150),
    uniform=st.sampled_from([0.0, 2.0**-53, 1e-9, 0.5, 1 - 2.0**-24, 1 - 2.0**-53]),
)
def test_a_token_without_probability_never_comes(masses: list[float], uniform: float) -> None:
    if not any(masses):
        return
    logits = torch.tensor([masses]).log()
    token, logprob = sample(logits, torch.tensor([uniform], dtype=torch.float64), Sampling())
    assert masses[int(token)] > 0
    assert logprob.isfinite().all() or masses[int(token)] / max(masses) < 1e-37


def test_order_of_tokens_and_numbers_agree() -> None:
    """Inversion: the token is the one in whose stretch of the cumulative distribution the number lies."""
    probs = torch.rand(400, dtype=torch.float64)
    probs /= probs.sum()
    uniform = torch.rand(2000, dtype=torch.float64)
    tokens, _ = sample(probs.log().float().repeat(2000, 1), uniform, Sampling())
    edges = probs.cumsum(0)
    inside = uniform[(uniform[:, None] - edges).abs().amin(1) > 1e-6]
    chosen = tokens[(uniform[:, None] - edges).abs().amin(1) > 1e-6]
    assert torch.equal(chosen, torch.searchsorted(edges, inside, right=True))


def test_a_row_does_not_depend_on_the_others() -> None:
    logits, uniform = torch.randn(40, 500), torch.rand(40, dtype=torch.float64)
    for sampling in (Sampling(), Sampling(top_p=0.8, temperature=0.6)):
        whole = sample(logits.clone(), uniform, sampling)
        order = torch.randperm(40)
        shuffled = sample(logits[order], uniform[order], sampling)
        alone = [sample(logits[i : i + 1].clone(), uniform[i : i + 1], sampling) for i in range(40)]
        assert torch.equal(whole[0][order], shuffled[0])
        assert torch.equal(whole[0], torch.cat([token for token, _ in alone]))
        torch.testing.assert_close(whole[1][order], shuffled[1])


def by_whole_sort(mass: torch.Tensor, top_k: int, top_p: float) -> torch.Tensor:
    """What is kept, from rows sorted whole."""
    best = mass.sort(1, descending=True).values[:, : top_k or None]
    cumulative = best.cumsum(1)
    last = (cumulative < top_p * cumulative[:, -1:]).sum(1, keepdim=True)
    return mass.masked_fill(mass < best.gather(1, last), 0)


@pytest.mark.parametrize("size", [2, 1000, 1025, 20_000, 151_936])
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.95, 0.9999, 1 - 1e-7])
@pytest.mark.parametrize("top_k", [0, 1, 50, 3000])
def test_truncation_keeps_bit_for_bit_what_sorting_whole_rows_keeps(size: int, top_p: float, top_k: int) -> None:
    """Rows whose nucleus is one token, some, thousands and nearly all; some tokens alike, some impossible."""
    generator = torch.Generator().manual_seed(size)
    logits = torch.randn(5, size, generator=generator) * torch.tensor([[40.0], [8.0], [2.5], [1.0], [0.01]])
    logits[:, ::7] = logits[:, ::7].round()
    logits[:, 1::9] = float("-inf")
    mass = (logits - logits.amax(1, keepdim=True)).exp()
    expected = by_whole_sort(mass, top_k, top_p)
    _truncate(mass, top_k, top_p)
    assert torch.equal(mass, expected)


def test_rows_that_are_no_numbers_do_not_harm_the_others() -> None:
    mass = torch.rand(3, 5000)
    expected = by_whole_sort(mass, 0, 0.9)
    mass[1] = float("nan")
    _truncate(mass, 0, 0.9)
    assert torch.equal(mass[[0, 2]], expected[[0, 2]]) and mass[1].isnan().all()


def test_uniforms_are_uniform_and_independent() -> None:
    """Over seeds, over positions, and for neighbours of both: correlations stay within 5 standard errors of 0."""
    count = 1 << 16
    by_seed = uniforms(np.arange(count, dtype=np.uint64), np.zeros(count, np.int64))
    by_position = uniforms(np.full(count, 7, np.uint64), np.arange(count))
    for numbers in (by_seed, by_position):
        assert numbers.min() >= 0 and numbers.max() < 1
        counts = np.histogram(numbers, 256, (0, 1))[0]
        assert chi_square(counts, np.full(256, count / 256)) < _SIGMAS
        centred = numbers - 0.5
        for lag in (1, 2, 17):
            assert abs((centred[lag:] * centred[:-lag]).mean() * 12) < 5 / np.sqrt(count)
    assert abs(((by_seed - 0.5) * (by_position - 0.5)).mean() * 12) < 5 / np.sqrt(count)
    assert len(np.unique(np.concatenate([by_seed, by_position[:7], by_position[8:]]))) > 2 * count - 10


def test_uniforms_stay_what_they_were() -> None:
    """A resumed run must draw the numbers of the run it goes on with, whatever version drew them."""
    seeds = np.array([0, 1, 2**63 - 1, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(uniforms(seeds, np.array([0, 1, 2, 3])), GOLDEN)


def splitmix(state: int) -> int:
    """splitmix64's output function in plain integers."""
    mask = 2**64 - 1
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & mask
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB & mask
    return state ^ (state >> 31)


GOLDEN = [
    (splitmix(splitmix(seed + 0x9E3779B97F4A7C15 & 2**64 - 1) + 0x9E3779B97F4A7C15 * (place + 1) & 2**64 - 1) >> 11)
    * 2.0**-53
    for place, seed in enumerate([0, 1, 2**63 - 1, 2**64 - 1])
]


def test_each_row_is_sampled_by_its_own_drawing() -> None:
    """Whatever stands beside it, as `sample` does it alone; rows with a few large masses and rows that are flat."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(60, 1500, generator=generator) * torch.tensor([0.3, 3.0, 8.0]).repeat(20)[:, None]
    uniform = torch.rand(60, generator=generator, dtype=torch.float64)
    ways = [
        (1.0, 1.0, 0),
        (0.0, 0.5, 3),
        (0.6, 0.95, 0),
        (1.3, 0.9, 40),
        (1.0, 1.0, 7),
        (2.0, 0.3, 5000),
        (0.7, 1.0, 1),
    ]
    rows = [ways[i % len(ways)] for i in range(60)]
    drawings = [Drawing(temperature=t, top_p=p, top_k=k) for t, p, k in rows]
    token, logprob, _ = sample_rows(logits.clone(), uniform, drawings)
    for i, (t, p, k) in enumerate(rows):
        way = Sampling(temperature=t, top_p=p, top_k=k)
        alone, its_logprob = sample(logits[i : i + 1].clone(), uniform[i : i + 1], way)
        assert token[i] == alone[0]
        torch.testing.assert_close(logprob[i], its_logprob[0], rtol=0, atol=1e-6)


def test_min_p_keeps_what_is_likely_enough() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = 3 * torch.randn(400, 50, generator=generator)
    uniform = torch.rand(400, generator=generator, dtype=torch.float64)
    drawings = [Drawing(temperature=0.8, min_p=p) for p in (0.0, 0.05, 0.5, 1.0)] * 100
    token, logprob, mass = sample_rows(logits.clone(), uniform, drawings)
    probability = torch.softmax(logits.double() / 0.8, 1)
    for i, drawing in enumerate(drawings):
        kept = probability[i] * (probability[i] >= drawing.min_p * probability[i].max() * (1 - 1e-6))
        assert kept[token[i]] > 0
        wanted = int(((kept / kept.sum()).cumsum(0) <= uniform[i]).sum())
        assert int(token[i]) == wanted
        torch.testing.assert_close(logprob[i].double(), (kept[token[i]] / kept.sum()).log(), rtol=0, atol=1e-5)
        best = sorted(((float(share), -t) for t, share in enumerate(kept / kept.sum()) if share), reverse=True)[:5]
        found = likeliest(mass[i : i + 1], [5])[0]
        assert [t for t, _ in found] == [-t for _, t in best]
        torch.testing.assert_close([p for _, p in found], [math.log(share) for share, _ in best], rtol=0, atol=1e-5)
    assert (token[3::4] == logits[3::4].argmax(1)).all(), "1 keeps the most likely one alone"


@pytest.mark.parametrize("temperature", [1e-300, 1e-40, 1e-9])
def test_a_temperature_near_zero_takes_the_most_likely(temperature: float) -> None:
    logits = 30 * torch.randn(50, 40, generator=torch.Generator().manual_seed(5))
    drawings = [Drawing(temperature=temperature)] * 50
    token, logprob, _ = sample_rows(logits.clone(), stream(50), drawings)
    assert torch.equal(token, logits.argmax(1)) and (logprob == 0).all()
    assert (tempered(logits, drawings).gather(1, token[:, None]) == 0).all()
